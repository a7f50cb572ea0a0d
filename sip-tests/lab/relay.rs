//! The relay as the lab plays it: it keeps what the engine asked for, refuses what no relay could
//! do, and reports as the real one would. No packets; only what the engine hears of them.

use portreeve::ground::Mono;
use portreeve::relay::quality::Figures;
use portreeve::relay::{Command, Counters, Event, Leg, LegConfig, Party, StreamId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// One open stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) legs: [LegConfig; 2],
    pub(crate) idle: Option<Duration>,
    heard: Mono,
    told: bool,
}

impl Stream {
    /// The far party of a leg.
    pub(crate) fn party(&self, leg: Leg) -> Party {
        self.legs[leg.index()].party
    }
}

/// Streams and pending reports.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    pub(crate) open: BTreeMap<StreamId, Stream>,
    ports: BTreeSet<(IpAddr, u16)>,
    events: VecDeque<Event>,
    /// Every command, for scripts that look at them.
    pub(crate) log: Vec<Command>,
    /// Keep no log: long runs.
    pub(crate) quiet: bool,
    /// Nobody sends media: idle limits run out.
    pub(crate) silent: bool,
    /// What a closing stream reports.
    pub(crate) counters: Counters,
    /// What was measured of it.
    pub(crate) figures: [Figures; 2],
    /// The next streams cannot be opened.
    pub(crate) refuse: usize,
}

/// It says that this stream could not be opened.
fn is_failure(event: &Event, id: StreamId) -> bool {
    matches!(event, Event::OpenFailed { stream, .. } if *stream == id)
}

impl Relay {
    /// Does what the engine asks.
    pub(crate) fn obey(&mut self, command: Command, now: Mono) {
        if !self.quiet {
            self.log.push(command.clone());
        }
        // Of a stream that could not be opened the engine has not heard yet.
        let lost = |id: &StreamId| self.events.iter().any(|e| is_failure(e, *id));
        if matches!(&command, Command::Update { stream, .. } | Command::SetIdle { stream, .. }
            | Command::Rebind { stream, .. } | Command::Measure { stream }
            | Command::Close { stream } if lost(stream))
        {
            return;
        }
        match command {
            Command::Open { stream, legs, idle } => self.open(stream, legs, idle, now),
            Command::Update { stream, leg, party } => {
                let s = self.open.get_mut(&stream).expect("an update of an open stream");
                s.legs[leg.index()].party = party;
            }
            Command::Rebind { stream, leg, at, .. } => {
                let s = self.open.get_mut(&stream).expect("an open stream moves");
                let leg = &mut s.legs[leg.index()];
                for port in [leg.port, leg.port + 1] {
                    self.ports.remove(&(leg.bind, port));
                }
                (leg.bind, leg.port) = (at.ip(), at.port());
                for port in [leg.port, leg.port + 1] {
                    assert!(self.ports.insert((leg.bind, port)), "port {port} is lent twice");
                }
            }
            Command::SetIdle { stream, idle } => {
                let s = self.open.get_mut(&stream).expect("supervision of an open stream");
                (s.idle, s.heard, s.told) = (idle, now, false);
            }
            Command::Codecs { .. } | Command::KeepAlive { .. } => {}
            Command::Measure { stream } => {
                assert!(self.open.contains_key(&stream), "an open stream is asked for");
                let figures = Box::new(self.figures);
                self.events.push_back(Event::SoFar { stream, figures });
            }
            Command::Close { stream } => {
                let s = self.open.remove(&stream).expect("an open stream is closed once");
                for leg in s.legs {
                    self.ports.remove(&(leg.bind, leg.port));
                    self.ports.remove(&(leg.bind, leg.port + 1));
                }
                self.events.push_back(Event::Closed {
                    stream,
                    counters: self.counters,
                    figures: Box::new(self.figures),
                });
            }
        }
    }

    fn open(&mut self, stream: StreamId, legs: [LegConfig; 2], idle: Option<Duration>, now: Mono) {
        assert!(!self.open.contains_key(&stream), "{stream:?} is opened twice");
        if self.refuse > 0 {
            self.refuse -= 1;
            let error = "Address already in use".to_owned();
            self.events.push_back(Event::OpenFailed { stream, error });
            return;
        }
        for leg in legs {
            assert_eq!(leg.port % 2, 0, "RTP ports are even");
            for port in [leg.port, leg.port + 1] {
                assert!(self.ports.insert((leg.bind, port)), "port {port} is lent twice");
            }
        }
        self.open.insert(stream, Stream { legs, idle, heard: now, told: false });
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Something to report to the engine.
    pub(crate) fn report(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The only open stream.
    #[track_caller]
    pub(crate) fn only(&self) -> (StreamId, Stream) {
        assert_eq!(self.open.len(), 1, "one open stream");
        let (id, stream) = self.open.first_key_value().expect("one");
        (*id, *stream)
    }

    /// When the next silent stream must be reported.
    pub(crate) fn next_idle(&self) -> Option<Mono> {
        let due = |s: &Stream| s.idle.filter(|_| !s.told).map(|limit| s.heard + limit);
        self.silent.then(|| self.open.values().filter_map(due).min()).flatten()
    }

    /// Reports streams whose limit has run out.
    pub(crate) fn pass(&mut self, now: Mono) {
        if !self.silent {
            return;
        }
        for (id, s) in &mut self.open {
            if s.idle.is_some_and(|limit| s.heard + limit <= now) && !s.told {
                s.told = true;
                self.events.push_back(Event::Idle { stream: *id });
            }
        }
    }
}
