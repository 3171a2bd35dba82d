use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The cargo that started this program.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Finds the first of some programs on the `PATH`.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let candidates = names.iter().flat_map(|name| {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        folders.iter().map(move |folder| folder.join(&file))
    });
    candidates.into_iter().find(|file| file.is_file())
}

/// Shows a command, runs it to its end, and fails if it failed.
pub(crate) fn run(command: &mut Command) -> Result {
    eprintln!("{} {}", bold("$"), shown(command));
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{}` ended with {status}", shown(command)).into())
}

/// A command with a heading of its own.
pub(crate) type Suite = (String, Command);

/// Runs suites, two at a time, and shows of each what it wrote once it has ended. One that fails does not keep the others
/// from running.
///
/// A suite mostly waits for one program, which uses one core at most.
pub(crate) fn run_side_by_side(mut suites: Vec<Suite>) -> Result {
    // With nothing beside it, it may speak for itself.
    if let [(name, suite)] = &mut suites[..] {
        heading(name);
        return run(suite);
    }
    let left = Mutex::new(suites.into_iter());
    let failures = Mutex::new(Vec::new());
    let next = || left.lock().ok()?.next();
    let work = || {
        while let Some(suite) = next() {
            if let (Err(error), Ok(mut failures)) = (run_and_show(suite), failures.lock()) {
                failures.push(error.to_string());
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    failed(failures.into_inner().unwrap_or_default())
}

/// Runs suites, one after the other, with what `rest` leaves of the processor. All run to their ends.
pub(crate) fn run_beside(suites: Vec<Suite>, rest: impl FnOnce() -> Result) -> Result {
    let failures = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let suites = suites.into_iter();
            let outcomes = suites.map(|(name, suite)| run_and_show((name, yielding(&suite))));
            outcomes
                .filter_map(|outcome| Some(outcome.err()?.to_string()))
                .collect::<Vec<_>>()
        });
        let rest = rest().err().map(|error| error.to_string());
        let beside = beside.join().map_err(|_| Error::from("a suite panicked"))?;
        Ok::<_, Error>(beside.into_iter().chain(rest).collect::<Vec<_>>())
    })?;
    failed(failures)
}

/// An error if anything has failed, with all of it.
fn failed(failures: Vec<String>) -> Result {
    match failures {
        failures if failures.is_empty() => Ok(()),
        failures => Err(failures.join("\n").into()),
    }
}

fn run_and_show((name, command): Suite) -> Result {
    let begun = Instant::now();
    let text = format!("{} {}", bold("$"), shown(&command));
    let (output, outcome) = match captured(command) {
        Ok(ended) => ended,
        Err(error) => (Vec::new(), Err(error)),
    };
    let output = String::from_utf8_lossy(&output);
    let seconds = begun.elapsed().as_secs();
    let title = bold(&format!("── {name}"));
    // One write, so that what two suites say does not mix.
    eprint!("\n{title} ({seconds} s)\n{text}\n{output}");
    outcome
}

/// Runs a command to its end, and gives all that it wrote, and how it ended.
fn captured(mut command: Command) -> Result<(Vec<u8>, Result)> {
    let text = shown(&command);
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn();
    let mut child = child.map_err(|error| cannot_start(&command, &error))?;
    // It holds our ends of the pipe, which would keep the reading from ending.
    drop(command);
    let mut output = Vec::new();
    reader.read_to_end(&mut output)?;
    let status = child.wait()?;
    let outcome = match status.success() {
        true => Ok(()),
        false => Err(format!("`{text}` ended with {status}").into()),
    };
    Ok((output, outcome))
}

/// Runs a command to its end, and gives what it wrote to standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", shown(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Error {
    format!("cannot start `{}`: {error}", shown(command)).into()
}

fn shown(command: &Command) -> String {
    let program = match command.get_program() {
        // Its full path tells nobody anything.
        program if program == cargo() => OsStr::new("cargo"),
        program => program,
    };
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| quote(&word.to_string_lossy())).collect();
    words.join(" ")
}

/// A word as a POSIX shell has to see it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A program that runs beside us, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    name: String,
}

impl Background {
    /// Starts a program.
    pub(crate) fn start(command: &Command) -> Result<Self> {
        let name = shown(command);
        eprintln!("{} {name} &", bold("$"));
        let child = dying_with_us(command)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| cannot_start(command, &error))?;
        Ok(Self { child, name })
    }

    /// Waits until the program accepts connections on a port of this machine.
    pub(crate) fn wait_for_port(&mut self, port: u16) -> Result {
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("`{}` ended with {status}", self.name).into());
            }
            if Instant::now() > end {
                let name = &self.name;
                return Err(format!("`{name}` does not listen on port {port}").into());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Waits for the program to end by itself, and fails if it does not in time.
    pub(crate) fn wait_for_end(mut self, timeout: Duration) -> Result {
        let end = Instant::now() + timeout;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(format!("`{}` ended with {status}", self.name).into());
                }
                None if Instant::now() > end => {
                    return Err(format!("`{}` does not end", self.name).into());
                }
                None => std::thread::sleep(POLL_INTERVAL),
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only for a program that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `drop` does not run when a signal ends us, so where the system can be asked to kill the child then, it is.
fn dying_with_us(command: &Command) -> Command {
    wrapped(command, "setpriv", &["--pdeathsig", "KILL", "--"])
}

/// The command, behind all others that want the processor, where the system can be asked for that.
fn yielding(command: &Command) -> Command {
    wrapped(command, "nice", &["-n", "19"])
}

/// The command, run by a program that takes it behind these words; by itself where that program is not there.
fn wrapped(command: &Command, by: &str, words: &[&str]) -> Command {
    let mut wrapped = match find_program(&[by]) {
        Some(program) => {
            let mut wrapped = Command::new(program);
            wrapped.args(words).arg(command.get_program());
            wrapped
        }
        None => Command::new(command.get_program()),
    };
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub(crate) fn heading(text: &str) {
    eprintln!("\n{}", bold(&format!("── {text}")));
}

pub(crate) fn bold(text: &str) -> String {
    styled("1", text)
}

pub(crate) fn red(text: &str) -> String {
    styled("31;1", text)
}

pub(crate) fn yellow(text: &str) -> String {
    styled("33;1", text)
}

fn styled(code: &str, text: &str) -> String {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A debug build on a busy machine may take its time.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("target/x-1"), "target/x-1");
        assert_eq!(quote("my server"), "'my server'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
