//! One stream in its relay thread: the decisions (`relay::stream`) and the four ports they are
//! carried out on. Bound by the caller of `Relay::apply`, served and closed by the thread.

use super::port::Port;
use super::totals::TotalsTable;
use crate::driver::media_socket::{MediaSocket, Received, Sample};
use crate::driver::tunnel::Tunnels;
use crate::driver::zone::Zones;
use crate::ground::{Mono, Now};
use crate::relay::cname::CnameGuard;
use crate::relay::flow::Lane;
use crate::relay::quality::Codecs;
use crate::relay::stream::{PLACES, Stream, Verdict};
use crate::relay::{Counters, DropReason, Event, Leg, LegConfig, Party, StreamId};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Kernel drops a sweep below which the filter may show more strangers, to name one.
const FEW_DROPS: u64 = 1000;

/// No packet waits longer in its socket.
const FAR: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Slot {
    stream: Stream,
    /// In the order of [`PLACES`].
    ports: [Port; 4],
    /// When the thread will look at the stream's timers.
    armed: Option<Mono>,
    /// What the totals know already.
    published: Counters,
    naming: [bool; 2],
    /// Whose drops the next sweep asks for where nobody strange was seen.
    turn: Lane,
}

impl Slot {
    /// Binds both pairs. On failure nothing stays open; the text says what to look at.
    pub(super) fn bind(
        id: StreamId,
        legs: &[LegConfig; 2],
        (zones, tunnels): (&Zones, &Tunnels),
        idle: Option<Duration>,
        now: Mono,
    ) -> Result<Self, String> {
        let pair = |leg: &LegConfig| {
            let at = SocketAddr::new(leg.bind, leg.port);
            bind_pair(at, leg.dscp, (zones, tunnels))
        };
        let ([a, b], [c, d]) = (pair(&legs[0])?, pair(&legs[1])?);
        let ports = [a, b, c, d];
        let stream = Stream::new(id, legs, idle, now);
        let published = Counters::default();
        let mut slot =
            Self { stream, ports, armed: None, published, naming: [false; 2], turn: Lane::Rtp };
        slot.guard().map_err(|e| format!("cannot set a socket filter: {e}"))?;
        Ok(slot)
    }

    pub(super) fn id(&self) -> StreamId {
        self.stream.id()
    }

    pub(super) fn ports(&self) -> &[Port; 4] {
        &self.ports
    }

    /// Reads one packet and forwards it if it may pass. One buffer, in place. The kernel's stamp of
    /// the packet, if there was one.
    ///
    /// One and not all that wait: a flow brings a packet in 20 ms, so that asking again would cost
    /// a system call for each packet to hear that there is none (measured: 12 %); what is left is
    /// ready at the next wake-up. And a flood on one call cannot delay the others.
    pub(super) fn serve(
        &mut self,
        port: usize,
        buffer: &mut [u8],
        cname: Option<&CnameGuard>,
        now: Now,
        events: &mut Vec<Event>,
    ) -> Option<Duration> {
        let (leg, lane) = PLACES[port];
        // Nothing waits, or an ICMP error of an earlier packet is told here: it ends nothing.
        let Received { len, from, stamp } = self.ports[port].receive(buffer).ok()?;
        let packet = buffer.get_mut(..len)?;
        let came = stamp.map_or(now.mono, |s| monotonic(s, now));
        let decision = self.stream.handle((leg, lane), from, packet, came, events);
        if decision.pinned {
            self.reguard();
        }
        let Verdict::Forward { to } = decision.verdict else { return stamp };
        if let Some(cname) = cname
            && self.stream.leaves_site(leg, lane)
        {
            cname.hide(packet, from.ip());
        }
        match self.ports[port ^ 2].send(packet, to) {
            Ok(()) => self.stream.sent(leg, lane),
            Err(_) => self.stream.send_failed(leg),
        }
        stamp
    }

    pub(super) fn update(&mut self, leg: Leg, party: Party, now: Mono) {
        if self.stream.update(leg, party, now) {
            self.reguard();
        }
    }

    /// The ports of a leg are these from now on; those that were are closed.
    pub(super) fn rebind(&mut self, leg: Leg, at: SocketAddr, pair: [Port; 2], now: Mono) {
        self.read_drops(&Lane::ALL, now);
        for (lane, port) in Lane::ALL.into_iter().zip(pair) {
            self.ports[2 * leg.index() + lane.index()] = port;
        }
        self.stream.rebind(leg, at);
        self.reguard();
    }

    pub(super) fn set_idle(&mut self, idle: Option<Duration>, now: Mono) {
        self.stream.set_idle(idle, now);
    }

    pub(super) fn set_codecs(&mut self, leg: Leg, codecs: Codecs) {
        self.stream.set_codecs(leg, &codecs);
    }

    pub(super) fn so_far(&self, now: Mono) -> Event {
        self.stream.so_far(now)
    }

    pub(super) fn keep_alive(&mut self, leg: Leg, every: Option<Duration>, now: Mono) {
        self.stream.keep_alive(leg, every, now);
    }

    /// When the stream's timers are to be looked at, if that is sooner than the thread knows.
    #[inline]
    pub(super) fn sooner(&mut self) -> Option<Mono> {
        let at = self.stream.poll_timeout()?;
        if self.armed.is_some_and(|armed| armed <= at) {
            return None;
        }
        self.armed = Some(at);
        Some(at)
    }

    /// The thread's time `at` is over: what is due, and what the stream has to send of its own.
    pub(super) fn wake(&mut self, at: Mono, now: Mono, events: &mut Vec<Event>) {
        if self.armed != Some(at) {
            return;
        }
        self.armed = None;
        self.stream.handle_timeout(now, events);
        while let Some(own) = self.stream.poll_transmit() {
            let port = 2 * own.leg.index() + own.lane.index();
            if self.ports[port].send(own.what.octets(), own.to).is_err() {
                self.stream.send_failed(own.leg.other());
            }
        }
    }

    /// About once a second: what the kernel dropped, what the totals do not know yet.
    pub(super) fn sweep(&mut self, now: Mono, totals: &TotalsTable) {
        let drops = self.read_some_drops(now);
        for leg in [Leg::Caller, Leg::Callee] {
            let i = leg.index();
            self.naming[i] = self.stream.is_naming(leg) && drops[i] < FEW_DROPS;
        }
        self.reguard();
        self.publish(totals);
    }

    /// The end. The sockets are closed before the event says so.
    pub(super) fn close(mut self, now: Mono, totals: &TotalsTable, events: &mut Vec<Event>) {
        self.read_drops(&Lane::ALL, now);
        self.publish(totals);
        let Self { stream, ports, .. } = self;
        drop(ports);
        stream.close(now, events);
    }

    /// Asking costs a system call a port. So it is RTP's turn and RTCP's, one after the other, as
    /// long as there are no strangers; once there are some, all are asked until there are no more.
    fn read_some_drops(&mut self, now: Mono) -> [u64; 2] {
        let strangers = |c: &Counters| -> u64 {
            c.legs.iter().map(|leg| leg.dropped[DropReason::UnknownSource as usize]).sum()
        };
        let before = strangers(&self.published);
        let mut drops = [0; 2];
        let naming = [Leg::Caller, Leg::Callee].into_iter().any(|leg| self.stream.is_naming(leg));
        if !naming && strangers(self.stream.counters()) == before {
            let turn = self.turn;
            self.turn = turn.other();
            drops = self.read_drops(&[turn], now);
            if drops == [0; 2] {
                return drops;
            }
        }
        let rest = self.read_drops(&Lane::ALL, now);
        [drops[0] + rest[0], drops[1] + rest[1]]
    }

    /// Strangers that the filters of these flows dropped since they were asked last, by leg.
    fn read_drops(&mut self, lanes: &[Lane], now: Mono) -> [u64; 2] {
        let mut drops = [0; 2];
        for (port, (leg, lane)) in self.ports.iter_mut().zip(PLACES) {
            if !lanes.contains(&lane) {
                continue;
            }
            let count = u64::from(port.take_drops());
            if count > 0 {
                self.stream.filtered(leg, lane, count, now);
                drops[leg.index()] += count;
            }
        }
        drops
    }

    fn publish(&mut self, totals: &TotalsTable) {
        let now = *self.stream.counters();
        for leg in [Leg::Caller, Leg::Callee] {
            let i = leg.index();
            totals.add(self.stream.side(leg), &self.published.legs[i], &now.legs[i]);
        }
        self.published = now;
    }

    fn guard(&mut self) -> io::Result<()> {
        for (port, (leg, lane)) in self.ports.iter_mut().zip(PLACES) {
            let often = self.naming[leg.index()];
            let sample = if often { Sample::Often } else { Sample::Rare };
            port.guard(self.stream.source(leg, lane), sample)?;
        }
        Ok(())
    }

    /// Filters follow the stream. Where the kernel refuses (out of memory), the next sweep tries
    /// again; no stranger gets in meanwhile, for user space checks every packet.
    fn reguard(&mut self) {
        drop(self.guard());
    }
}

/// The kernel's stamp on the monotonic clock. A stamp that is far from now is of a wall clock that
/// was set meanwhile.
fn monotonic(stamp: Duration, now: Now) -> Mono {
    let wall = now.wall.0;
    let apart = stamp.abs_diff(wall);
    if apart > FAR {
        return now.mono;
    }
    if stamp < wall { now.mono - apart } else { now.mono + apart }
}

/// How long ago a stamp was taken; `None`: the wall clock was set meanwhile.
pub(super) fn age(stamp: Duration, now: Now) -> Option<Duration> {
    now.wall.0.checked_sub(stamp).filter(|age| *age <= FAR)
}

/// The pair of a leg: its RTP port at this address, and the next one.
pub(super) fn bind_pair(
    at: SocketAddr,
    dscp: u8,
    known: (&Zones, &Tunnels),
) -> Result<[Port; 2], String> {
    Ok([bind(at, dscp, Lane::Rtp, known)?, bind(at, dscp, Lane::Rtcp, known)?])
}

fn bind(
    at: SocketAddr,
    dscp: u8,
    lane: Lane,
    (zones, tunnels): (&Zones, &Tunnels),
) -> Result<Port, String> {
    let offset = u16::from(lane == Lane::Rtcp);
    let addr = SocketAddr::new(at.ip(), at.port().saturating_add(offset));
    if let Some(link) = tunnels.at(addr.ip()) {
        let port = link.port(addr.port());
        let name = link.name();
        return port.map(Port::Tunnel).map_err(|e| format!("no port at tunnel {name}: {e}"));
    }
    let socket = MediaSocket::bind(zones.placed(addr), dscp, lane);
    let socket = socket.map(|s| s.at_device(zones.of_own(addr.ip())));
    socket.map(Port::Udp).map_err(|e| match e.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            format!("cannot open a socket for {addr}: {e} (raise RLIMIT_NOFILE)")
        }
        Some(libc::EADDRINUSE) => {
            format!("cannot bind {addr}: {e} (another program uses a port of media.ports)")
        }
        _ => format!("cannot bind {addr}: {e}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::Wall;

    #[test]
    fn a_stamp_is_carried_to_the_monotonic_clock_unless_the_wall_clock_was_set() {
        let s = Duration::from_secs;
        let now = Now { mono: Mono(s(100)), wall: Wall(s(5000)) };
        assert_eq!(monotonic(s(4997), now), Mono(s(97)));
        assert_eq!(age(s(4997), now), Some(s(3)));
        // It came between the reading of the clock and its own.
        assert_eq!(monotonic(s(5001), now), Mono(s(101)));
        assert_eq!(age(s(5001), now), None);
        for stamp in [s(1400), s(8600)] {
            assert_eq!(monotonic(stamp, now), now.mono, "an hour apart is no wait");
            assert_eq!(age(stamp, now), None, "and no delay of ours");
        }
    }
}
