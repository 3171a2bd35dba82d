//! What `#[event(…)]` says.

use proc_macro2::Span;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Error, LitStr, Path, Result, Token, Type, parse_quote};

use crate::name::is_reserved;

/// The options of one event, as they were given.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) ack: Option<Type>,
    /// Where the word stands.
    pub(crate) spread: Option<Span>,
    sockeye: Option<Path>,
}

impl Options {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
            attribute.parse_nested_meta(|meta| options.set(&meta))?;
        }
        if let Some(name) = options.name.as_ref().filter(|n| is_reserved(&n.value())) {
            let text = format!("the event name {:?} is reserved", name.value());
            return Err(Error::new(name.span(), text));
        }
        Ok(options)
    }

    /// The crate that generated code refers to.
    pub(crate) fn sockeye(&self) -> Path {
        let given = self.sockeye.clone();
        given.unwrap_or_else(|| parse_quote!(::sockeye))
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let path = &meta.path;
        if path.is_ident("name") {
            once(meta, &mut self.name, || {
                value(meta, "a string: `name = \"chat\"`")
            })
        } else if path.is_ident("ack") {
            once(meta, &mut self.ack, || {
                value(meta, "a type: `ack = Receipt`")
            })
        } else if path.is_ident("spread") {
            once(meta, &mut self.spread, || {
                match meta.input.peek(Token![=]) {
                    true => Err(meta.error("`spread` has no value")),
                    false => Ok(path.span()),
                }
            })
        } else if path.is_ident("crate") {
            once(meta, &mut self.sockeye, || {
                let path: LitStr = value(meta, "a path in quotes: `crate = \"my::sockeye\"`")?;
                path.parse()
            })
        } else {
            let key = quote!(#path).to_string();
            Err(meta.error(format_args!(
                "unknown option `{key}`: an event has `name`, `ack`, `spread` and `crate`"
            )))
        }
    }
}

fn once<T>(
    meta: &ParseNestedMeta<'_>,
    place: &mut Option<T>,
    read: impl FnOnce() -> Result<T>,
) -> Result<()> {
    if place.is_some() {
        return Err(meta.error("this option is given twice"));
    }
    *place = Some(read()?);
    Ok(())
}

fn value<T: syn::parse::Parse>(meta: &ParseNestedMeta<'_>, what: &str) -> Result<T> {
    if !meta.input.peek(Token![=]) {
        return Err(meta.error(format_args!("this option needs {what}")));
    }
    let value = meta.value()?;
    let at = value.span();
    value
        .parse()
        .map_err(|_| Error::new(at, format_args!("this option needs {what}")))
}
