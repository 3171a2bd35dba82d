//! A way to an engine on which things go wrong.

use std::future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::HOST;

/// What stands between servers and an engine: it passes on what they say to each other, until it is told otherwise.
#[derive(Debug)]
pub struct Way {
    port: u16,
    /// How often connections have become deaf.
    deafened: watch::Sender<u32>,
    /// How many bytes a second go to the engine over each connection; `None` without a limit.
    speed: watch::Sender<Option<u32>>,
    flow: watch::Sender<Flow>,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// Nothing goes to servers.
    Held,
    /// What is connected is not any more.
    Cut,
}

impl Way {
    /// A way to the engine of this port.
    ///
    /// # Panics
    ///
    /// If there is no port for it.
    pub async fn to(engine: u16) -> Self {
        let listener = TcpListener::bind((HOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (deafened, is_deaf) = watch::channel(0);
        let (speed, limit) = watch::channel(None);
        let (flow, flows) = watch::channel(Flow::Open);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut is_deaf = is_deaf.clone();
                // What happened before is not this connection's.
                is_deaf.mark_unchanged();
                let passing = Passing {
                    is_deaf,
                    speed: limit.clone(),
                    flow: flows.clone(),
                };
                tokio::spawn(passing.pass(near, engine));
            }
        });
        Self {
            port,
            deafened,
            speed,
            flow,
        }
    }

    /// Where it begins.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Those that are connected hear nothing any more, as if a network in between had forgotten them; what they say arrives.
    /// Who connects anew hears.
    pub fn deafen(&self) {
        self.deafened.send_modify(|times| *times += 1);
    }

    /// No more than so many bytes a second go to the engine over each connection from now on.
    pub fn slow_down(&self, bytes: u32) {
        let _ = self.speed.send_replace(Some(bytes));
    }

    /// Nothing goes to servers until the way is [open](Self::open) again, and the engine finds no more room for it.
    pub fn hold(&self) {
        self.flow.send_replace(Flow::Held);
    }

    /// Ends all connections, and each new one until the way is [open](Self::open) again.
    pub fn cut(&self) {
        self.flow.send_replace(Flow::Cut);
    }

    /// Lets everything pass again.
    pub fn open(&self) {
        self.flow.send_replace(Flow::Open);
    }
}

/// One connection.
struct Passing {
    is_deaf: watch::Receiver<u32>,
    speed: watch::Receiver<Option<u32>>,
    flow: watch::Receiver<Flow>,
}

impl Passing {
    async fn pass(self, near: TcpStream, engine: u16) {
        let Ok(far) = TcpStream::connect((HOST, engine)).await else {
            return;
        };
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = far.into_split();
        let mut flow = self.flow.clone();
        // When either is over, so is the other.
        tokio::select! {
            _ = upwards(from_near, to_far, self.speed) => {}
            _ = downwards(from_far, to_near, self.is_deaf, self.flow) => {}
            _ = flow.wait_for(|flow| *flow == Flow::Cut) => {}
        }
    }
}

async fn upwards(
    mut near: OwnedReadHalf,
    mut far: OwnedWriteHalf,
    speed: watch::Receiver<Option<u32>>,
) -> io::Result<()> {
    let mut piece = [0; 8192];
    loop {
        let count = near.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        let limit = *speed.borrow();
        if let Some(limit) = limit {
            let share = u32::try_from(count).expect("it is small");
            tokio::time::sleep(Duration::from_secs(1) * share / limit).await;
        }
        far.write_all(&piece[..count]).await?;
    }
}

async fn downwards(
    mut far: OwnedReadHalf,
    mut near: OwnedWriteHalf,
    mut is_deaf: watch::Receiver<u32>,
    flow: watch::Receiver<Flow>,
) -> io::Result<()> {
    tokio::select! {
        passed = pass_on(&mut far, &mut near, flow) => passed,
        // Swallowed, so that the engine notices nothing.
        _ = is_deaf.changed() => {
            tokio::io::copy(&mut far, &mut tokio::io::sink()).await?;
            future::pending().await
        }
    }
}

async fn pass_on(
    far: &mut OwnedReadHalf,
    near: &mut OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
) -> io::Result<()> {
    let mut piece = [0; 8192];
    loop {
        let count = far.read(&mut piece).await?;
        let goes_on = flow.wait_for(|flow| *flow != Flow::Held).await.is_ok();
        if count == 0 || !goes_on {
            return Ok(());
        }
        near.write_all(&piece[..count]).await?;
    }
}
