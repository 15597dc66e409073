//! What a run has to do with caches: outputs are fetched when they are needed, and what was made is sent while other stages run.
//!
//! Unaware of what is in a cache, and of when a stage is up to date.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::control::Control;
use super::step::Events;
use crate::cache::caches::{Caches, NotFetched, Required};
use crate::cache::give::Pushed;
use crate::cache::objects::Moved;
use crate::cache::share::Wanted;
use crate::cache::unpack;
use crate::event::Event;
use crate::names::StageName;
use crate::proc::start;
use crate::state::record::Record;
use crate::state::store::State;
use crate::sync::lock;

/// A stage that is given to caches when it is done.
#[derive(Clone)]
pub struct Sharing {
    pub caches: Arc<Caches>,
    pub wanted: Wanted,
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wanted.fmt(f)
    }
}

/// What came of fetching outputs, and how many seconds that took.
#[derive(Debug)]
pub struct Fetched {
    pub record: Result<(Record, Moved), NotFetched>,
    pub duration: f64,
}

/// Gets the outputs of a stage from the cache that holds them.
pub fn fetch(caches: Option<&Caches>, state: &State, record: &Record, control: &Control) -> Fetched {
    let began = Instant::now();
    let lost = || NotFetched::Gone("its outputs are in a cache, and none is used".into());
    let fetched = caches.ok_or_else(lost);
    let record = fetched.and_then(|caches| caches.fetch(state, record, &|| control.is_interrupted()));
    Fetched { record, duration: began.elapsed().as_secs_f64() }
}

/// Sends finished stages to caches, one after the other, in a thread that is started for the first one.
pub struct Uploads {
    state: Arc<State>,
    control: Arc<Control>,
    events: Events,
    worker: Mutex<Option<Worker>>,
    /// How many are not sent yet.
    left: Arc<AtomicUsize>,
    given_up: Arc<AtomicBool>,
}

struct Worker {
    jobs: Sender<(Sharing, Record)>,
    ended: Receiver<Option<Required>>,
    timeout: Duration,
}

impl Uploads {
    pub fn new(state: Arc<State>, control: Arc<Control>, events: Events) -> Uploads {
        let (left, given_up) = Default::default();
        Uploads { state, control, events, worker: Mutex::default(), left, given_up }
    }

    /// Takes a finished stage.
    pub fn send(&self, sharing: &Sharing, record: &Record) {
        if sharing.caches.writing().next().is_none() {
            return;
        }
        let mut worker = lock(&self.worker);
        if worker.is_none() {
            match self.start(sharing.caches.upload_timeout()) {
                Ok(started) => *worker = Some(started),
                Err(error) => return self.warn(&record.stage, format!("nothing is sent to caches: {error}")),
            }
        }
        let Some(worker) = worker.as_ref() else { return };
        self.left.fetch_add(1, Ordering::SeqCst);
        if worker.jobs.send((sharing.clone(), record.clone())).is_err() {
            tracing::debug!("nobody sends stage {}", record.stage);
        }
    }

    fn warn(&self, stage: &StageName, text: String) {
        self.events.send(Event::Warning { stage: stage.clone(), about: "cache".into(), text });
    }

    fn start(&self, timeout: Duration) -> Result<Worker, start::NoThread> {
        let (jobs, received) = channel::<(Sharing, Record)>();
        let (tell, ended) = channel();
        let (state, control, events) = (Arc::clone(&self.state), Arc::clone(&self.control), self.events.clone());
        let (left, given_up) = (Arc::clone(&self.left), Arc::clone(&self.given_up));
        start::thread("uploads", move || {
            let mut required = None;
            let stop = || control.is_interrupted() || given_up.load(Ordering::SeqCst);
            for (sharing, record) in received {
                if !stop() {
                    let failed = push(&sharing, &record, &state, &events, &stop);
                    required = required.or(failed);
                }
                left.fetch_sub(1, Ordering::SeqCst);
            }
            // Nobody hears it when the run has given up.
            let _ = tell.send(required);
        })?;
        Ok(Worker { jobs, ended, timeout })
    }

    /// Waits until all is sent, or the time for that is over.
    ///
    /// # Errors
    /// Something was not sent, and caches are required.
    pub fn finish(&self) -> Result<(), Required> {
        let Some(Worker { jobs, ended, timeout }) = lock(&self.worker).take() else { return Ok(()) };
        drop(jobs);
        let until = Instant::now() + timeout;
        loop {
            // An interrupt is seen in between.
            let pause = Duration::from_millis(200).min(until.saturating_duration_since(Instant::now()));
            match ended.recv_timeout(pause) {
                Ok(None) => return Ok(()),
                Ok(Some(required)) => return Err(required),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= until {
                self.given_up.store(true, Ordering::SeqCst);
                let left = self.left.load(Ordering::SeqCst);
                tracing::warn!(
                    "{} not sent to the caches within `upload-timeout`; `optbuild cache push` sends them",
                    crate::text::plural(left, "stage")
                );
                return Ok(());
            }
        }
    }
}

/// Sends one stage, and tells of it. What it returns ends the run.
fn push(
    sharing: &Sharing,
    record: &Record,
    state: &State,
    events: &Events,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<Required> {
    let began = Instant::now();
    let mut required = None;
    let stage = record.stage.clone();
    for (cache, pushed) in sharing.caches.push(&sharing.wanted, record, state, stop) {
        let note = |text: String| events.send(Event::Note { stage: stage.clone(), text });
        match pushed {
            Ok(Pushed::Written(Moved { objects, bytes, content })) => {
                let duration = began.elapsed().as_secs_f64();
                let stage = stage.clone();
                events.send(Event::CacheMoved { stage, cache, sent: true, objects, bytes, content, duration });
            }
            Ok(Pushed::Exists { same: true }) => note(format!("cache `{cache}` has it already")),
            Ok(Pushed::Exists { same: false }) => events.send(Event::Warning {
                stage: stage.clone(),
                about: format!("cache {cache}"),
                text: format!(
                    "cache `{cache}` has it with other bytes, which were built elsewhere: the stage is not reproducible"
                ),
            }),
            Err(_) if stop() => note(format!("it was not sent to the cache `{cache}`: the run was to end")),
            Err(error) => {
                note(format!("it was not sent to the cache `{cache}`: {error:#}"));
                if sharing.caches.is_required() && unpack::is_of_the_store(&error) {
                    required = Some(Required(format!("{error:#}")));
                }
            }
        }
    }
    required
}
