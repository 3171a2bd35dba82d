//! The code that the derive writes.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Field, Fields, Generics, Member, Path, Result, Type, WhereClause,
    parse_quote,
};

use crate::name::{is_reserved, snake_case};
use crate::options::Options;

/// serde reads tuples up to this length.
const MOST_ARGUMENTS: usize = 16;

/// How a struct becomes arguments.
enum Layout<'a> {
    /// It is the one argument, and serde knows how.
    Object,
    /// Each field is one.
    Spread(Vec<Argument<'a>>),
}

struct Argument<'a> {
    member: Member,
    /// For errors; tuple structs have none.
    name: Option<String>,
    ty: &'a Type,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let options = Options::read(&input.attrs)?;
    let fields = fields(input)?;
    let layout = layout(fields, options.spread)?;
    let name = match &options.name {
        Some(name) => name.value(),
        None => default_name(input)?,
    };
    let sockeye = options.sockeye();
    let written = write(input, &layout, &name, &options, &sockeye);
    let read = read(input, &layout, &sockeye);
    Ok(quote! { #written #read })
}

fn fields(input: &DeriveInput) -> Result<&Fields> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            return Err(Error::new(
                data.enum_token.span,
                "an event is a struct: give each variant a struct of its own, or one a field of the enum's type",
            ));
        }
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span,
                "an event is a struct, not a union",
            ));
        }
    };
    for attribute in fields.iter().flat_map(|field| &field.attrs) {
        if attribute.path().is_ident("event") {
            return Err(Error::new_spanned(
                attribute,
                "`#[event(…)]` belongs to the struct, not to a field",
            ));
        }
    }
    Ok(fields)
}

fn layout(fields: &Fields, spread: Option<Span>) -> Result<Layout<'_>> {
    match (fields, spread) {
        (Fields::Named(_), None) => Ok(Layout::Object),
        (Fields::Unnamed(_) | Fields::Unit, Some(at)) => Err(Error::new(
            at,
            "`spread` is for named fields: those of a tuple struct are arguments of their own anyway",
        )),
        (_, _) => {
            let arguments: Result<Vec<_>> = fields.iter().enumerate().map(argument).collect();
            arguments.map(Layout::Spread)
        }
    }
}

fn argument((index, field): (usize, &Field)) -> Result<Argument<'_>> {
    if index >= MOST_ARGUMENTS {
        let text = format!("an event has {MOST_ARGUMENTS} arguments at most");
        return Err(Error::new_spanned(field, text));
    }
    if let Some(attribute) = field.attrs.iter().find(|a| a.path().is_ident("serde")) {
        return Err(Error::new_spanned(
            attribute,
            "this would have no effect: the field is an argument of its own, and serde sees its type alone",
        ));
    }
    Ok(Argument {
        member: match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            // The place of its type, for it has none of its own.
            None => Member::Unnamed(syn::Index {
                span: field.ty.span(),
                ..index.into()
            }),
        },
        name: field.ident.as_ref().map(|ident| ident.unraw().to_string()),
        ty: &field.ty,
    })
}

fn default_name(input: &DeriveInput) -> Result<String> {
    let name = snake_case(&input.ident.unraw().to_string());
    if is_reserved(&name) {
        let text = format!(
            "the event name {name:?} is reserved; give it another with `#[event(name = \"…\")]`"
        );
        return Err(Error::new(input.ident.span(), text));
    }
    Ok(name)
}

/// The implementation of `TypedEvent`.
fn write(
    input: &DeriveInput,
    layout: &Layout<'_>,
    name: &str,
    options: &Options,
    sockeye: &Path,
) -> TokenStream {
    let ident = &input.ident;
    let (impl_generics, ty_generics, _) = input.generics.split_for_impl();
    let bound = quote!(#sockeye::__private::Serialize);
    let where_clause = where_clause(input, layout, &bound);
    let ack = match &options.ack {
        Some(ack) => quote!(#ack),
        None => quote!(#sockeye::NoAck),
    };
    // Each line has the place of what it is about, so that a type that serde does not know is shown where it stands.
    let lines: Vec<_> = match layout {
        Layout::Object => vec![quote_spanned! { ident.span() => out.push(self)?; }],
        Layout::Spread(arguments) => arguments
            .iter()
            .map(|Argument { member, ty, .. }| {
                quote_spanned! { ty.span() => out.push(&self.#member)?; }
            })
            .collect(),
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics #sockeye::TypedEvent for #ident #ty_generics #where_clause {
            const NAME: &'static str = #name;
            type Ack = #ack;

            #[allow(unused_variables)]
            fn write_args(
                &self,
                out: &mut #sockeye::ArgsWriter<'_>,
            ) -> ::core::result::Result<(), #sockeye::EncodeError> {
                #(#lines)*
                ::core::result::Result::Ok(())
            }
        }
    }
}

/// The implementation of `FromEvent`.
fn read(input: &DeriveInput, layout: &Layout<'_>, sockeye: &Path) -> TokenStream {
    let ident = &input.ident;
    let (_, ty_generics, _) = input.generics.split_for_impl();
    let with_socket = with_socket(&input.generics);
    let (impl_generics, _, _) = with_socket.split_for_impl();
    let bound = quote!(#sockeye::__private::DeserializeOwned);
    let where_clause = where_clause(input, layout, &bound);
    let read = quote!(#sockeye::__private::read);
    let body = match layout {
        Layout::Object => {
            let read = quote_spanned! { ident.span() => #read::<__Socket, (Self,)> };
            quote! {
                let (this,) = #read(event, &[])?;
                ::core::result::Result::Ok(this)
            }
        }
        Layout::Spread(arguments) => {
            let members = arguments.iter().map(|argument| &argument.member);
            let types = arguments.iter().map(|argument| argument.ty);
            let names = arguments
                .iter()
                .filter_map(|argument| argument.name.as_ref());
            let values: Vec<_> = (0..arguments.len())
                .map(|n| format_ident!("__{n}"))
                .collect();
            quote! {
                let (#(#values,)*) = #read::<__Socket, (#(#types,)*)>(event, &[#(#names),*])?;
                ::core::result::Result::Ok(Self { #(#members: #values),* })
            }
        }
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics #sockeye::FromEvent<__Socket> for #ident #ty_generics #where_clause {
            fn from_event(
                event: &#sockeye::Event<'_, __Socket>,
            ) -> ::core::result::Result<Self, #sockeye::ExtractError> {
                #body
            }
        }
    }
}

fn with_socket(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    generics.params.push(parse_quote!(__Socket));
    generics
}

/// What a generic struct needs. Others need nothing said: either their types are what they must be, or they are not,
/// and a bound would only make the error longer.
fn where_clause(
    input: &DeriveInput,
    layout: &Layout<'_>,
    bound: &TokenStream,
) -> Option<WhereClause> {
    let mut generics = input.generics.clone();
    if generics.params.is_empty() {
        return generics.where_clause;
    }
    let predicates = &mut generics.make_where_clause().predicates;
    match layout {
        Layout::Object => predicates.push(parse_quote!(Self: #bound)),
        Layout::Spread(arguments) => {
            let types = arguments.iter().map(|argument| argument.ty);
            predicates.extend(types.map(|ty| -> syn::WherePredicate { parse_quote!(#ty: #bound) }));
        }
    }
    generics.where_clause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(item: TokenStream) -> Result<String> {
        expand(&syn::parse2(item)?).map(|code| code.to_string())
    }

    fn name_of(item: TokenStream) -> String {
        let code = code(item).unwrap();
        let (_, rest) = code.split_once("& 'static str = \"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    #[test]
    fn name_is_given_or_that_of_the_type() {
        assert_eq!(name_of(quote! { struct UserJoined; }), "user_joined");
        assert_eq!(name_of(quote! { struct r#type; }), "type");
        let given = quote! { #[event(name = "chat message")] struct Chat; };
        assert_eq!(name_of(given), "chat message");
        // Another name makes a reserved one good.
        let given = quote! { #[event(name = "bye")] struct Disconnect; };
        assert_eq!(name_of(given), "bye");
    }

    #[test]
    fn options_may_be_in_several_attributes() {
        let code = code(quote! {
            #[event(spread, ack = Vec<(u8, String)>,)]
            #[serde(rename_all = "camelCase")]
            #[event(crate = "my::socket_io")]
            struct Chat { text: String }
        });
        let code = code.unwrap();
        assert!(code.contains("type Ack = Vec < (u8 , String) >"), "{code}");
        assert!(!code.contains(":: sockeye ::"), "{code}");
        assert!(code.contains("my :: socket_io :: TypedEvent"), "{code}");
        assert!(code.contains("out . push (& self . text)"), "{code}");
    }

    #[test]
    fn generated_code_names_the_facade_by_its_absolute_path() {
        let code = code(quote! { struct Ping; }).unwrap();
        assert!(
            code.contains("impl :: sockeye :: TypedEvent for Ping"),
            "{code}"
        );
        assert!(code.contains("type Ack = :: sockeye :: NoAck"), "{code}");
    }

    #[test]
    fn mistakes_are_told() {
        let many = (0..17).map(|_| quote!(u8));
        for (item, text) in [
            (
                quote! { enum E { A } },
                "an event is a struct: give each variant",
            ),
            (
                quote! { union U { a: u8 } },
                "an event is a struct, not a union",
            ),
            (
                quote! { struct Disconnect; },
                "the event name \"disconnect\" is reserved; give it",
            ),
            (
                quote! { #[event(name = "newListener")] struct A; },
                "the event name \"newListener\" is reserved",
            ),
            (
                quote! { #[event(nmae = "a")] struct A; },
                "unknown option `nmae`: an event has",
            ),
            (
                quote! { #[event(name)] struct A; },
                "this option needs a string",
            ),
            (
                quote! { #[event(name = 5)] struct A; },
                "this option needs a string",
            ),
            (
                quote! { #[event(ack)] struct A; },
                "this option needs a type: `ack = Receipt`",
            ),
            (
                quote! { #[event(ack(Receipt))] struct A; },
                "this option needs a type",
            ),
            (
                quote! { #[event(ack = "Receipt")] struct A; },
                "this option needs a type",
            ),
            (
                quote! { #[event(name = "a", name = "b")] struct A; },
                "this option is given twice",
            ),
            (
                quote! { #[event(ack = u8)] #[event(ack = u8)] struct A; },
                "this option is given twice",
            ),
            (
                quote! { #[event(spread = true)] struct A { a: u8 } },
                "`spread` has no value",
            ),
            (
                quote! { #[event(spread)] struct A(u8); },
                "`spread` is for named fields",
            ),
            (
                quote! { #[event(crate = my)] struct A; },
                "this option needs a path in quotes",
            ),
            (
                quote! { struct A { #[event(name = "b")] a: u8 } },
                "`#[event(…)]` belongs to the struct",
            ),
            (
                quote! { struct A(#[serde(with = "hex")] u8); },
                "this would have no effect",
            ),
            (
                quote! { struct A(#(#many),*); },
                "an event has 16 arguments at most",
            ),
            (
                quote! { #[event] struct A; },
                "expected attribute arguments in parentheses",
            ),
        ] {
            let shown = item.to_string();
            let error = code(item).unwrap_err().to_string();
            assert!(error.starts_with(text), "{shown}: {error}");
        }
    }

    #[test]
    fn fields_of_an_object_may_have_attributes_of_serde() {
        code(quote! { struct A { #[serde(default)] a: u8 } }).unwrap();
    }
}
