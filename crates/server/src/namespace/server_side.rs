//! Events between the servers of a cluster, in one namespace.

use sockeye_adapter::{EventBody, Incomplete};
use sockeye_events::{AckError, EmitError, Listeners};
use sockeye_socket_proto::{Args, FromArgs, ToArgs};

use super::Namespace;
use crate::{ServerSide, ServerSideError};

impl Namespace {
    /// Emits an event to the other servers of the cluster, whose handlers it runs that were added there to
    /// [`server_side`](Self::server_side), in the namespace of this name. A server that is alone emits it to nobody.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{Data, EmitError, Server};
    ///
    /// # fn run(io: &Server) -> Result<(), EmitError> {
    /// io.server_side().on("flush", |Data(cache): Data<String>| println!("{cache} is stale"));
    /// io.server_side_emit("flush", "prices")?; // on each of the others
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is reserved (`connect`, `connection`, `new_namespace`), or an argument cannot be encoded.
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn server_side_emit(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<(), EmitError> {
        let (name, args) = encode(name.as_ref(), &args)?;
        if let Some(adapter) = self.adapter() {
            let args = args.as_raw();
            adapter.server_side_emit(&EventBody { name, args });
        }
        Ok(())
    }

    /// Emits an event to the other servers of the cluster and gives their answers, one of each: none for a server that is
    /// alone. How long they are waited for is the adapter's affair. Nothing is sent before this is awaited.
    ///
    /// # Errors
    ///
    /// As for [`server_side_emit`](Self::server_side_emit); and if a server has not answered, which goes for those without
    /// a handler of the event too, or not with a `T`.
    pub async fn server_side_emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<Vec<T>, ServerSideError<T>> {
        let answers = {
            let (name, args) = encode(name.as_ref(), &args)?;
            let Some(adapter) = self.adapter() else {
                return Ok(Vec::new());
            };
            let args = args.as_raw();
            adapter.server_side_ask(&EventBody { name, args }, None)
        };
        match answers.await {
            Ok(answers) => read(answers),
            Err(Incomplete { answers, missing }) => {
                let answers = read(answers)?;
                Err(Incomplete { answers, missing }.into())
            }
        }
    }

    /// The handlers of events that other servers of the cluster emit with [`server_side_emit`](Self::server_side_emit) in the
    /// namespace of this name. What a handler returns is the answer; of several handlers, the first answer counts.
    ///
    /// Clients have no part in this: their events do not reach them.
    #[must_use]
    pub fn server_side(&self) -> &Listeners<ServerSide> {
        &self.here().server_side.listeners
    }

    /// How many servers form the cluster, with this one, as far as the adapter knows: 1 without a cluster.
    pub async fn server_count(&self) -> usize {
        let Some(adapter) = self.adapter() else {
            return 1;
        };
        adapter.server_count().await
    }
}

/// The event as adapters take it.
fn encode<'n, A: ToArgs>(name: &'n str, args: &A) -> Result<(&'n str, Args), EmitError> {
    if RESERVED.contains(&name) {
        return Err(EmitError::ReservedName(name.into()));
    }
    Ok((name, Args::new(args)?))
}

fn read<T: FromArgs>(answers: Vec<Args>) -> Result<Vec<T>, ServerSideError<T>> {
    let read = answers.into_iter().map(|args| AckError::read(Ok(args)));
    read.collect::<Result<_, _>>()
        .map_err(ServerSideError::Answer)
}

/// What happens to a namespace itself, in Node's servers.
const RESERVED: [&str; 3] = ["connect", "connection", "new_namespace"];
