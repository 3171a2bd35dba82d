//! What stands between a server and MongoDB, and may fail in ways in which neither of them does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Hands on all that is said, unless told otherwise.
pub(crate) struct Proxy {
    port: u16,
    mood: watch::Sender<Mood>,
    /// How often a server has asked for something with [`Mood::asked`] in it.
    asked: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

/// What it does with what it gets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mood {
    /// The first answer with this in it waits, and those behind it on its connection.
    pub(crate) held: Option<&'static str>,
    /// Questions with this in them are counted.
    pub(crate) asked: Option<&'static str>,
    /// All that is said is lost, and so is what is said later by those who have spoken then.
    pub(crate) swallows: bool,
}

struct Way {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    mood: watch::Receiver<Mood>,
    /// Both ways of a connection have it.
    is_dead: Arc<AtomicBool>,
    /// All ways have it.
    has_held: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let (mood, moods) = watch::channel(Mood::default());
        let (asking, asked) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut ways = JoinSet::new();
            let has_held = Arc::new(AtomicBool::new(false));
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let is_dead = Arc::new(AtomicBool::new(false));
                let way = |from, to| Way {
                    from,
                    to,
                    mood: moods.clone(),
                    is_dead: Arc::clone(&is_dead),
                    has_held: Arc::clone(&has_held),
                };
                let questions = way(from_client, to_server);
                ways.spawn(questions.questions(asking.clone()));
                ways.spawn(way(from_server, to_client).answers());
            }
        });
        Self {
            port: own,
            mood,
            asked,
            _task: task,
        }
    }

    /// A URL with this proxy in it, which the driver is not to go around.
    pub(crate) fn url(&self, options: &str) -> String {
        let port = self.port;
        format!("mongodb://127.0.0.1:{port}/sockeye?directConnection=true&{options}")
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Waits until there was a question that is counted.
    pub(crate) async fn was_asked(&mut self) {
        let asked = self.asked.wait_for(|count| *count > 0);
        asked.await.expect("the proxy is there");
    }
}

impl Way {
    async fn questions(mut self, asking: watch::Sender<usize>) {
        while let Some(said) = self.next().await {
            if has(&said, self.mood.borrow().asked) {
                asking.send_modify(|count| *count += 1);
            }
            if self.to.write_all(&said).await.is_err() {
                return;
            }
        }
    }

    async fn answers(mut self) {
        while let Some(said) = self.next().await {
            let is_held = has(&said, self.mood.borrow().held);
            if is_held && !self.has_held.swap(true, Ordering::Relaxed) {
                let is_free = self.mood.wait_for(|mood| mood.held.is_none());
                if is_free.await.is_err() {
                    return;
                }
            }
            if self.to.write_all(&said).await.is_err() {
                return;
            }
        }
    }

    /// What is said next, and not lost.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let len = self.from.read(&mut bytes).await.ok()?;
            if self.mood.borrow().swallows {
                self.is_dead.store(true, Ordering::Relaxed);
            }
            if len == 0 {
                return None;
            }
            if !self.is_dead.load(Ordering::Relaxed) {
                bytes.truncate(len);
                return Some(bytes);
            }
        }
    }
}

fn has(said: &[u8], word: Option<&str>) -> bool {
    word.is_some_and(|word| said.windows(word.len()).any(|part| part == word.as_bytes()))
}
