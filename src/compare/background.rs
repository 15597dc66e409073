//! A server and what drives it: started, waited for until it is ready, driven, ended in order.
//!
//! The server runs in a measuring process of its own, so what is measured is the server alone, and not who asks it. The time is that of
//! the driving command; the processor's time leaves out what the server used until it was ready. Unaware of what is measured for.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

use super::probe::{Ended, Leash, Order, Reading};
use super::request::{Background, Invocation, Request, Workload};
use super::result::Metric;
use crate::fs::disk;
use crate::proc::{self, start, tree};
use crate::run::tail;
use crate::text;

/// Runs a workload once on a side; what its command prints stands in `stdout` and `stderr` of the directory.
///
/// # Errors
/// It cannot be measured, or its server fails.
pub fn run(
    request: &Request,
    workload: &Workload,
    side: usize,
    dir: &Utf8Path,
    count: bool,
    limit: f64,
) -> Result<Reading> {
    let (invocation, _) = request.on(workload, side);
    match &workload.background {
        None => Order::new(invocation, dir, count, limit).run(),
        Some(background) => background[side].measure(Some(invocation), dir, count, limit),
    }
}

/// Where all of it prints to.
#[derive(Debug)]
pub struct Files {
    /// Of the server.
    pub log: Utf8PathBuf,
    pub stdout: Utf8PathBuf,
    pub stderr: Utf8PathBuf,
    /// An empty directory, for what probes print.
    pub probes: Utf8PathBuf,
}

impl Files {
    /// In a directory, as a command without a server has them.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn below(dir: &Utf8Path) -> Result<Files> {
        let files = Files {
            log: dir.join("server"),
            stdout: dir.join("stdout"),
            stderr: dir.join("stderr"),
            probes: dir.join("probes"),
        };
        disk::make_empty_dir(&files.probes)?;
        Ok(files)
    }
}

/// How long one probe may take, in seconds.
const PROBE: f64 = 10.0;
/// Between two probes: the first pause, growing up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How long a command goes on whose server is gone.
const ORPHANED: Duration = Duration::from_secs(5);
/// So many lines of the server are shown when it fails.
const LAST_LINES: usize = 10;
const LONGEST_LINE: usize = 300;

/// One of them has ended.
enum News {
    Server(Result<Reading>),
    Client(Result<Reading>),
}

impl Background {
    /// Measures the server while it is driven, or from its start to its end where nothing drives it. `limit` is in seconds.
    ///
    /// # Errors
    /// The server does not become ready, ends by itself, or does not end.
    pub fn measure(&self, client: Option<&Invocation>, dir: &Utf8Path, count: bool, limit: f64) -> Result<Reading> {
        let files = Files::below(dir)?;
        self.run(client, &files, count, limit, false)
    }

    /// Drives the server, and leaves what it leaves running.
    ///
    /// # Errors
    /// As [`Background::measure`].
    pub fn drive(&self, client: &Invocation, files: &Files) -> Result<Reading> {
        self.run(Some(client), files, false, f64::MAX, true)
    }

    /// The same server under a program that is put in front of it, which slows it down so many times.
    pub fn under(&self, program: &[String], slowdown: u32) -> Background {
        let mut under = self.clone();
        under.server.argv.splice(0..0, program.iter().cloned());
        under.patience = self.patience.saturating_mul(slowdown);
        under
    }

    fn run(&self, client: Option<&Invocation>, files: &Files, count: bool, limit: f64, keeps: bool) -> Result<Reading> {
        let order = Order { keeps, ..Order::printing(&self.server, &files.log, &files.log, count, limit) };
        let (server, leash) = order.start()?.split();
        let pid = server.pid();
        let (to, from) = channel();
        let told = to.clone();
        start::thread("server", move || tell(&told, News::Server(server.wait())))?;
        let server = Server { pid, leash, news: from, log: files.log.clone() };
        let Some(early) = self.wait_until_ready(&server, files)? else { return Ok(Reading::too_late()) };
        let reading = match client {
            None => None,
            Some(client) => {
                let order = Order { keeps, ..Order::printing(client, &files.stdout, &files.stderr, false, limit) };
                let (client, held) = order.start()?.split();
                start::thread("client", move || tell(&to, News::Client(client.wait())))?;
                let Some(reading) = server.while_driven(held)? else { return Ok(Reading::too_late()) };
                Some(reading)
            }
        };
        let mut used = self.end(server, files, reading.is_some())?;
        if used.ended == Ended::TooLate {
            return Ok(used);
        }
        let Some(reading) = reading else { return Ok(used) };
        without_start(&mut used, early);
        used.metrics.insert(Metric::WallTime, reading.get(Metric::WallTime));
        Ok(Reading { ended: reading.ended, metrics: used.metrics })
    }

    /// Returns the seconds of processor time that the server has used by then; none where its time is over.
    fn wait_until_ready(&self, server: &Server, files: &Files) -> Result<Option<f64>> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        let (out, log) = (files.probes.join("ready"), files.probes.join("ready-stderr"));
        loop {
            let probe = Order::printing(&self.ready, &out, &log, false, PROBE).run()?;
            if let Ok(News::Server(reading)) = server.news.try_recv() {
                let reading = reading?;
                match &reading.ended {
                    Ended::NotMeasured(why) => bail!("the program in the background cannot be started: {why}"),
                    Ended::TooLate => return Ok(None),
                    Ended::Code(_) | Ended::Signal(_) => {}
                }
                let hint = match reading.ended {
                    Ended::Code(0) => {
                        "; if it goes into the background by itself, tell it to stay (`--nodaemon`, `daemon off`)"
                    }
                    _ if server.says("in use") => {
                        "; another program listens there: workloads that use one port must not run at once (`alone`, `lock`)"
                    }
                    _ => "",
                };
                bail!(
                    "the program in the background ended before it was ready: it {}{hint}{}",
                    reading.ended.describe(),
                    server.last_lines()
                );
            }
            match probe.ended {
                Ended::Code(0) => return Ok(Some(server.used())),
                Ended::NotMeasured(why) => bail!("`ready` cannot be run: {why}"),
                ended if began.elapsed() >= self.patience => {
                    let said = last_lines(&log, "`ready` said");
                    bail!(
                        "the program in the background was not ready within {} (`timeout`): `ready` {}{said}{}",
                        text::duration(self.patience),
                        ended.describe(),
                        server.last_lines()
                    );
                }
                _ => {}
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Ends the server. `driven`: by a command that is over.
    fn end(&self, server: Server, files: &Files, driven: bool) -> Result<Reading> {
        if let Ok(News::Server(reading)) = server.news.try_recv() {
            let reading = reading?;
            return match reading.ended {
                Ended::TooLate => Ok(reading),
                ended => Err(server.ended_by_itself(&ended, driven)),
            };
        }
        let how = match &self.stop {
            Some(stop) => {
                let (out, log) = (files.probes.join("stop"), files.probes.join("stop-stderr"));
                let stopped = Order::printing(stop, &out, &log, false, self.patience.as_secs_f64()).run()?;
                if stopped.ended != Ended::Code(0) {
                    bail!("`stop` {}{}", stopped.ended.describe(), last_lines(&log, "It said"));
                }
                "`stop`"
            }
            None => {
                server.terminate();
                "SIGTERM"
            }
        };
        match server.news.recv_timeout(self.patience) {
            Ok(News::Server(reading)) => {
                let reading = reading?;
                match &reading.ended {
                    Ended::Signal(signal) if *signal != Signal::TERM.as_raw() => {
                        bail!(
                            "the program in the background {} after {how}{}",
                            reading.ended.describe(),
                            server.last_lines()
                        )
                    }
                    Ended::NotMeasured(why) => bail!("what the program in the background used is not known: {why}"),
                    Ended::Code(_) | Ended::Signal(_) | Ended::TooLate => Ok(reading),
                }
            }
            // The process that runs it is ended with this one.
            Ok(News::Client(_)) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => bail!(
                "the program in the background did not end within {} after {how}, and was killed (`timeout` sets the time, `stop` \
                 names a command that ends it){}",
                text::duration(self.patience),
                server.last_lines()
            ),
        }
    }
}

/// Nobody waits for it any more where it cannot be told.
fn tell(to: &Sender<News>, news: News) {
    if to.send(news).is_err() {
        tracing::debug!("a program ended after the one that waited for it");
    }
}

/// A server that was started. It is ended when this is dropped.
struct Server {
    /// Of the process that measures it.
    pid: u32,
    #[expect(dead_code, reason = "when it is dropped, the server is ended")]
    leash: Leash,
    news: std::sync::mpsc::Receiver<News>,
    log: Utf8PathBuf,
}

impl Server {
    /// Waits for the command that drives it. None: the time for both is over.
    fn while_driven(&self, client: Leash) -> Result<Option<Reading>> {
        let first = self.news.recv().context("nothing is heard of the program in the background")?;
        let server = match first {
            News::Client(reading) => return reading.map(Some),
            News::Server(reading) => reading?,
        };
        if server.ended == Ended::TooLate {
            drop(client);
            return Ok(None);
        }
        // The command notices, usually; what it says is not what is wrong.
        if let Err(RecvTimeoutError::Timeout) = self.news.recv_timeout(ORPHANED) {
            drop(client);
        }
        Err(self.ended_by_itself(&server.ended, true))
    }

    fn ended_by_itself(&self, ended: &Ended, driven: bool) -> anyhow::Error {
        let when = if driven { " while it was driven" } else { "" };
        anyhow::anyhow!(
            "the program in the background ended by itself{when}: it {}{}",
            ended.describe(),
            self.last_lines()
        )
    }

    /// Asks it to end.
    fn terminate(&self) {
        let children = proc::children_of(self.pid.cast_signed()).unwrap_or_default();
        for child in children.into_iter().filter_map(Pid::from_raw) {
            // One that has ended needs no signal.
            let _ = kill_process(child, Signal::TERM);
        }
    }

    /// Seconds of the processor that its processes have used.
    fn used(&self) -> f64 {
        let ticks: u64 =
            tree::descendants(&proc::all(), [self.pid.cast_signed()]).iter().map(|process| process.ticks).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    fn says(&self, part: &str) -> bool {
        let lines = tail::last_lines(&self.log, LAST_LINES).unwrap_or_default();
        lines.iter().any(|line| line.contains(part))
    }

    fn last_lines(&self) -> String {
        last_lines(&self.log, &format!("Its last lines, of {}", self.log))
    }
}

fn last_lines(file: &Utf8Path, title: &str) -> String {
    let lines = tail::last_lines(file, LAST_LINES).unwrap_or_default();
    let lines: Vec<_> = lines.iter().map(|line| text::shorten(line, LONGEST_LINE)).collect();
    if lines.is_empty() { String::new() } else { format!(". {title}:\n  {}", lines.join("\n  ")) }
}

/// Takes off what it had used before it was driven. The kernel tells of both kinds of time together.
fn without_start(reading: &mut Reading, early: f64) {
    let all = reading.get(Metric::UserTime) + reading.get(Metric::SystemTime);
    let rest = if all > 0.0 { (1.0 - early / all).clamp(0.0, 1.0) } else { 1.0 };
    for metric in [Metric::UserTime, Metric::SystemTime] {
        if let Some(value) = reading.metrics.get_mut(&metric) {
            *value *= rest;
        }
    }
}
