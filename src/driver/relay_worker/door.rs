//! The way commands reach a relay thread, seldom by waking it. Whatever wakes a thread (a packet, a
//! tick), it looks for commands first; so a command that has to be in force before the next packet,
//! and no sooner, wakes nobody. It carries commands and obeys none.
//!
//! Seats are given out here, for a stream's sockets are watched before its thread hears of it: a
//! seat is the stream's place in the thread's list, and what epoll brings with a packet.

use super::jobs::{Jobs, JobsEnd, Waiting};
use super::port::Port;
use super::slot::Slot;
use super::thread::Job;
use crate::relay::{Command, Expect, Leg, Party, StreamId};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// Epoll data of the bell.
pub(super) const BELL: u64 = u64::MAX;

/// What a thread and its callers share.
#[derive(Debug)]
pub(super) struct Bell {
    /// What the thread waits at.
    pub(super) epoll: OwnedFd,
    bell: OwnedFd,
    /// Commands wait.
    waiting: AtomicBool,
    /// The thread waits for the bell alone, for as long as it takes.
    asleep: AtomicBool,
}

impl Bell {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        let (waiting, asleep) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { epoll, bell, waiting, asleep })
    }

    fn ring(&self) {
        // The counter cannot overflow before a thread reads it, and a failed write (none is known)
        // costs only the time until the next wake-up.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// The thread has heard the bell.
    pub(super) fn heard(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    /// Whether commands wait; asked at every wake-up. Those that come later are told anew.
    #[inline]
    pub(super) fn take_waiting(&self) -> bool {
        self.waiting.load(SeqCst) && self.waiting.swap(false, SeqCst)
    }

    /// The thread is about to wait without an end. False: a command has just come.
    ///
    /// Each side writes its own word before it reads the other's, so one of both sees the other.
    pub(super) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, SeqCst);
        let quiet = !self.waiting.load(SeqCst);
        if !quiet {
            self.wake();
        }
        quiet
    }

    /// The thread is awake.
    pub(super) fn wake(&self) {
        self.asleep.store(false, SeqCst);
    }
}

/// Where a stream sits.
#[derive(Debug)]
struct Seat {
    at: usize,
    /// A filter stands on the leg's sockets: it may keep out whom the next update names.
    guarded: [bool; 2],
    /// Where its commands wait.
    waiting: Waiting,
}

/// Who sits where. Locked for a command, never for a packet.
#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<StreamId, Seat>,
    free: Vec<usize>,
    /// Seats that were ever taken.
    known: usize,
}

/// A caller's end.
#[derive(Debug)]
pub(super) struct Door {
    jobs: Jobs,
    bell: Arc<Bell>,
    seats: Mutex<Seats>,
    /// A command waits that no packet may announce.
    urgent: AtomicBool,
}

impl Door {
    /// A door, and the thread's end of it.
    pub(super) fn new() -> io::Result<(Self, JobsEnd, Arc<Bell>)> {
        let bell = Arc::new(Bell::new()?);
        let jobs = Jobs::default();
        let queue = jobs.end();
        let (seats, urgent) = (Mutex::default(), AtomicBool::new(false));
        Ok((Self { jobs, bell: bell.clone(), seats, urgent }, queue, bell))
    }

    /// Seats a stream: its packets wake the thread from now on.
    pub(super) fn open(&self, slot: Box<Slot>, guarded: [bool; 2]) -> Result<(), String> {
        let stream = slot.id();
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let at = seats.free.pop().unwrap_or(seats.known);
        // A packet that comes before the job finds an empty seat, and waits.
        let seated = self.watch(at, &slot).and_then(|()| self.send(Job::Open { at, slot }, None));
        if let Err(error) = seated {
            if at < seats.known {
                seats.free.push(at);
            }
            return Err(error);
        }
        seats.known = seats.known.max(at + 1);
        let before = seats.taken.insert(stream, Seat { at, guarded, waiting: Waiting::default() });
        debug_assert!(before.is_none(), "a stream id is used once");
        Ok(())
    }

    /// A leg of an open stream has this pair from now on: its packets wake the thread. For another
    /// stream it changes nothing.
    pub(super) fn rebind(
        &self,
        stream: StreamId,
        leg: Leg,
        at: SocketAddr,
        pair: Box<[Port; 2]>,
    ) -> Result<(), String> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seat) = seats.taken.get_mut(&stream) else { return Ok(()) };
        for (lane, port) in pair.iter().enumerate() {
            self.watch_port(seat.at, 2 * leg.index() + lane, port)?;
        }
        let job = Job::Rebind { at: seat.at, leg, place: at, pair };
        self.send(job, Some(&mut seat.waiting))?;
        // Nobody else wakes it for a leg that nothing comes by any more.
        self.urgent.store(true, SeqCst);
        Ok(())
    }

    /// Passes a command for an open stream on; for another it changes nothing.
    pub(super) fn pass(&self, command: Command) -> Result<(), String> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let Seats { taken, free, .. } = &mut *seats;
        let mut urgent = false;
        let stream = command.stream();
        let job = match command {
            // Opened by `open`, and bound anew by `rebind`.
            Command::Open { .. } | Command::Rebind { .. } => return Ok(()),
            Command::Update { stream, leg, party } => {
                let Some(seat) = taken.get_mut(&stream) else { return Ok(()) };
                urgent = seat.guarded[leg.index()];
                seat.guarded[leg.index()] = is_guarded(&party);
                Job::Update { at: seat.at, leg, party }
            }
            Command::SetIdle { stream, idle } => {
                let Some(seat) = taken.get(&stream) else { return Ok(()) };
                Job::SetIdle { at: seat.at, idle }
            }
            Command::Codecs { stream, leg, codecs } => {
                let Some(seat) = taken.get(&stream) else { return Ok(()) };
                Job::Codecs { at: seat.at, leg, codecs }
            }
            Command::KeepAlive { stream, leg, every } => {
                let Some(seat) = taken.get(&stream) else { return Ok(()) };
                Job::KeepAlive { at: seat.at, leg, every }
            }
            Command::Measure { stream } => {
                let Some(seat) = taken.get(&stream) else { return Ok(()) };
                // Somebody waits for the answer.
                urgent = true;
                Job::Measure { at: seat.at }
            }
            Command::Close { stream } => {
                let Some(seat) = taken.remove(&stream) else { return Ok(()) };
                // The next to sit there is told of after this.
                free.push(seat.at);
                Job::Close { at: seat.at }
            }
        };
        let waiting = taken.get_mut(&stream).map(|seat| &mut seat.waiting);
        self.send(job, waiting)?;
        if urgent {
            self.urgent.store(true, SeqCst);
        }
        Ok(())
    }

    /// Wakes the thread if a command needs it.
    pub(super) fn flush(&self) {
        let urgent = self.urgent.load(SeqCst) && self.urgent.swap(false, SeqCst);
        let asleep = self.bell.asleep.load(SeqCst) && self.bell.asleep.swap(false, SeqCst);
        if urgent || asleep {
            self.bell.ring();
        }
    }

    /// Wakes the thread.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// The thread ends.
    pub(super) fn stop(&self) {
        let _ = self.send(Job::Stop, None);
        self.bell.ring();
    }

    fn send(&self, job: Job, stream: Option<&mut Waiting>) -> Result<(), String> {
        let is_there = self.jobs.put(job, stream);
        self.bell.waiting.store(true, SeqCst);
        if is_there {
            return Ok(());
        }
        Err("the relay thread has ended: restart the gateway".to_owned())
    }

    /// A socket that fails leaves the others watched until they are closed, with the slot.
    fn watch(&self, at: usize, slot: &Slot) -> Result<(), String> {
        for (i, port) in slot.ports().iter().enumerate() {
            self.watch_port(at, i, port)?;
        }
        Ok(())
    }

    fn watch_port(&self, at: usize, i: usize, port: &Port) -> Result<(), String> {
        let data = epoll::EventData::new_u64(to_token(at, i));
        epoll::add(&self.bell.epoll, port.readiness(), data, epoll::EventFlags::IN)
            .map_err(|e| format!("cannot watch the stream's sockets: {e}"))
    }
}

/// Whether this party's leg has a filter.
pub(super) fn is_guarded(party: &Party) -> bool {
    match party.expect {
        Expect::Nobody => false,
        Expect::Exact | Expect::SameIp(_) | Expect::Neighbour { .. } => true,
    }
}

fn to_token(seat: usize, port: usize) -> u64 {
    (seat << 2 | port) as u64
}

/// Seat and port of epoll data.
pub(super) fn from_token(token: u64) -> (usize, usize) {
    let token = usize::try_from(token).unwrap_or(usize::MAX);
    (token >> 2, token & 3)
}
