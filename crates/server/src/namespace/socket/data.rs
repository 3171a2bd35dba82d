//! What applications keep with a socket.

use serde::Serialize;
use serde_json::Value;

use super::Socket;

impl Socket {
    /// Stores a value for this socket, replacing an earlier one of the same type. It is found by
    /// its type, so give it one of its own rather than `String`.
    pub fn set_data<T: Clone + Send + Sync + 'static>(&self, value: T) {
        self.extras().data.insert(value);
    }

    /// A clone of the value of this type that was stored for this socket. What changes is best
    /// kept in an `Arc<Mutex<…>>`.
    #[must_use]
    pub fn data<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.extras.get()?.data.cloned()
    }

    /// Takes the value of this type out.
    #[must_use]
    pub fn take_data<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.extras.get()?.data.remove()
    }

    /// Stores what all servers of a cluster may see of this socket, as [`RemoteSocket::data`](crate::RemoteSocket::data), where
    /// Node's servers have the socket's `data`. It replaces the earlier one.
    ///
    /// It is apart from [`set_data`](Self::set_data), whose values need not be such that they can leave the process, and often
    /// are not meant to.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// # use sockeye::Socket;
    /// # fn run(socket: &Socket) -> Result<(), serde_json::Error> {
    /// socket.set_shared_data(serde_json::json!({ "name": "Ann" }))?;
    /// assert_eq!(socket.shared_data().unwrap()["name"], "Ann");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the value cannot become JSON.
    pub fn set_shared_data(&self, value: impl Serialize) -> Result<(), serde_json::Error> {
        let value = serde_json::to_value(value)?;
        *self.extras().shared.lock() = Some(value);
        if let Some(recovery) = self.namespace().here().recovery()
            && let Some(early) = recovery.early()
        {
            early.changed(&self.shared_id());
        }
        Ok(())
    }

    /// A copy of what was stored for all servers to see.
    #[must_use]
    pub fn shared_data(&self) -> Option<Value> {
        self.0.extras.get()?.shared.lock().clone()
    }

    /// What was stored before the connection was lost.
    pub(crate) fn restore_shared_data(&self, data: Value) {
        *self.extras().shared.lock() = Some(data);
    }
}
