//! A pool of worker processes on a Unix-domain socket. The server hands each idle worker a job, and
//! the worker's acknowledgement is the result. A job whose worker dies goes to another one.
//!
//! ```text
//! cargo run --example ipc
//! ```
//!
//! The program starts itself as its workers, kills one of them in the middle of a job, and ends
//! when all jobs are done, with a table of who has done what; or on Ctrl-C, with its workers.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", name, url] => worker::run(name, url).await,
        [] => pool::run().await,
        _ => Err("usage: ipc".into()),
    }
}

/// What both ends say to each other.
mod protocol {
    use serde::{Deserialize, Serialize};

    /// What a worker shows when it connects.
    #[derive(Serialize, Deserialize)]
    pub(super) struct Hello {
        pub(super) name: String,
    }

    /// Counts the primes below a number: the event `job`.
    #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
    pub(super) struct Job {
        pub(super) id: usize,
        pub(super) below: u32,
    }
}

/// A process that does jobs until its server is gone.
mod worker {
    use std::error::Error;

    use sockeye::{Client, Data};
    use tokio::task::spawn_blocking;

    use super::protocol::{Hello, Job};

    pub(super) async fn run(name: &str, url: &str) -> Result<(), Box<dyn Error>> {
        let name = name.to_owned();
        let socket = Client::builder(url)
            .auth(Hello { name })
            .reconnection(None)
            // What takes long does not belong on the connection's task, which has heartbeats to
            // answer.
            .on("job", async |Data(job): Data<Job>| {
                spawn_blocking(move || primes(job.below)).await
            })
            .connect()
            .await?;
        socket.client().closed().await;
        Ok(())
    }

    /// How many primes there are below a number, found the slow way.
    fn primes(below: u32) -> usize {
        let is_prime = |n: &u32| (2..=n.isqrt()).all(|divisor| !n.is_multiple_of(divisor));
        (2..below).filter(is_prime).count()
    }
}

/// The server, and the table of jobs.
mod pool {
    use std::collections::VecDeque;
    use std::error::Error;
    use std::process::Stdio;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use sockeye::{AckError, Handshake, Server, Socket, State};
    use tokio::process::{Child, Command};
    use tokio::sync::Notify;

    use super::protocol::{Hello, Job};

    const WORKERS: usize = 3;
    /// Who does not finish what it is given.
    const VICTIM: &str = "worker 1";
    const JOBS: usize = 24;
    /// A worker that takes longer over a job is given up.
    const JOB_LIMIT: Duration = Duration::from_secs(20);
    const LIMIT: Duration = Duration::from_secs(60);

    /// What is to be done, and what has been.
    struct Pool {
        jobs: Mutex<Jobs>,
        /// A worker has come, a job has been done, or has come back.
        news: Notify,
        victim: Mutex<Option<Child>>,
    }

    #[derive(Default)]
    struct Jobs {
        /// How many workers have come.
        workers: usize,
        waiting: VecDeque<Job>,
        done: Vec<Vec<Done>>,
        /// How many workers that were given up have left a job behind.
        handed_back: usize,
    }

    /// One result of one job.
    struct Done {
        worker: String,
        primes: usize,
    }

    pub(super) async fn run() -> Result<(), Box<dyn Error>> {
        let pool = Arc::new(Pool::new());
        let path = std::env::temp_dir().join(format!("sockeye-ipc-{}.sock", std::process::id()));
        let url = format!("unix:{}", path.display());

        let io = Server::new();
        io.state(Arc::clone(&pool));
        io.on_connect(
            async |socket: Socket, handshake: Handshake, State(pool): State<Arc<Pool>>| {
                let Hello { name } = handshake.auth()?;
                println!("{name} is here");
                employ(&pool, &socket, &name).await;
                Ok::<_, Box<dyn Error + Send + Sync>>(())
            },
        );
        io.listen(&url).await?;

        let mut workers = Vec::new();
        for n in 1..=WORKERS {
            let name = format!("worker {n}");
            let worker = start(&name, &url)?;
            if name == VICTIM {
                *lock(&pool.victim) = Some(worker);
            } else {
                workers.push(worker);
            }
        }
        tokio::select! {
            done = tokio::time::timeout(LIMIT, pool.until_done(JOBS)) => done?,
            interrupt = tokio::signal::ctrl_c() => {
                io.close().await;
                return Ok(interrupt?);
            }
        }

        io.close().await;
        for worker in &mut workers {
            worker.wait().await?;
        }
        pool.report()
    }

    fn start(name: &str, url: &str) -> std::io::Result<Child> {
        let program = std::env::current_exe()?;
        Command::new(program)
            .args(["worker", name, url])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    /// Gives a worker one job after the other, for as long as it is there.
    async fn employ(pool: &Pool, socket: &Socket, name: &str) {
        pool.until_all_are_here().await;
        while let Some(job) = pool.next_job(socket).await {
            let answer = socket.timeout(JOB_LIMIT).emit_with_ack("job", job);
            if name == VICTIM {
                // The demonstration: it has the job, and no time to finish it.
                pool.kill_victim();
            }
            let answer: Result<usize, AckError> = answer.await;
            match answer {
                Ok(primes) => pool.finish(job, name, primes),
                Err(error) => {
                    println!("{name} has left job {} behind: {error}", job.id);
                    // It may be at it still, and must not be heard of again.
                    socket.close();
                    pool.hand_back(job);
                }
            }
        }
    }

    impl Pool {
        fn new() -> Self {
            let job = |id| Job {
                id,
                below: 100_000 + 5_000 * u32::try_from(id).unwrap_or(0),
            };
            Self {
                jobs: Mutex::new(Jobs {
                    waiting: (0..JOBS).map(job).collect(),
                    done: (0..JOBS).map(|_| Vec::new()).collect(),
                    ..Jobs::default()
                }),
                news: Notify::new(),
                victim: Mutex::default(),
            }
        }

        fn with<R>(&self, change: impl FnOnce(&mut Jobs) -> R) -> R {
            change(&mut lock(&self.jobs))
        }

        /// Waits until there is a worker for each of the first jobs, so that each gets one.
        async fn until_all_are_here(&self) {
            self.with(|jobs| jobs.workers += 1);
            self.news.notify_waiters();
            self.wait(|jobs| (jobs.workers >= WORKERS).then_some(()))
                .await;
        }

        fn kill_victim(&self) {
            if let Some(mut victim) = lock(&self.victim).take() {
                println!("killing {VICTIM}");
                if let Err(error) = victim.start_kill() {
                    println!("it cannot be killed: {error}");
                }
            }
        }

        /// The next job that is to be done, as soon as there is one; `None` if the socket is gone.
        async fn next_job(&self, socket: &Socket) -> Option<Job> {
            self.wait(|jobs| match socket.connected() {
                true => jobs.waiting.pop_front().map(Some),
                false => Some(None),
            })
            .await
        }

        fn finish(&self, job: Job, worker: &str, primes: usize) {
            let worker = worker.to_owned();
            self.with(|jobs| jobs.done[job.id].push(Done { worker, primes }));
            self.news.notify_waiters();
        }

        fn hand_back(&self, job: Job) {
            self.with(|jobs| {
                jobs.waiting.push_front(job);
                jobs.handed_back += 1;
            });
            self.news.notify_waiters();
        }

        /// Looks at the jobs, and again at all news, until there is what is looked for.
        async fn wait<R>(&self, mut look: impl FnMut(&mut Jobs) -> Option<R>) -> R {
            loop {
                // Registered before the look, so that nothing is missed in between.
                let mut news = std::pin::pin!(self.news.notified());
                news.as_mut().enable();
                if let Some(found) = self.with(&mut look) {
                    return found;
                }
                news.await;
            }
        }

        /// Waits until so many jobs are done.
        async fn until_done(&self, count: usize) {
            self.wait(|jobs| (jobs.count() >= count).then_some(()))
                .await;
        }

        /// Prints the table; an error unless every job was done once, and that of the killed worker
        /// by another.
        fn report(&self) -> Result<(), Box<dyn Error>> {
            self.with(|jobs| {
                println!("job  primes  done by");
                for (id, done) in jobs.done.iter().enumerate() {
                    for Done { worker, primes } in done {
                        println!("{id:3}  {primes:6}  {worker}");
                    }
                }
                if jobs.done.iter().any(|done| done.len() != 1) {
                    return Err("not every job was done once".into());
                }
                if jobs.handed_back == 0 {
                    return Err("no job was handed to another worker".into());
                }
                println!(
                    "{JOBS} jobs, each done once; {} handed to another worker",
                    jobs.handed_back
                );
                Ok(())
            })
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Jobs {
        fn count(&self) -> usize {
            self.done.iter().map(Vec::len).sum()
        }
    }
}
