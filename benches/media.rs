//! What media costs beside the kernel: nanoseconds for telling packets apart, for measuring them,
//! for hiding a CNAME, and for reading and rewriting a session description. Best of some rounds,
//! one thread.
//!
//!     cargo bench --bench media

use portreeve::ground::Mono;
use portreeve::ground::Side;
use portreeve::relay::content::Content;
use portreeve::relay::flow::Lane;
use portreeve::relay::meter::Meter;
use portreeve::relay::quality::Codecs;
use portreeve::relay::stream::{Stream, Verdict};
use portreeve::relay::{Expect, Leg, LegConfig, Party, StreamId};
use portreeve::wire::addresses::find_addresses;
use portreeve::wire::demux::{Kind, classify};
use portreeve::wire::rtcp::overwrite_names;
use portreeve::wire::sdp::{Place, Sdp};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 15;
const TURNS: u32 = 20_000;

const OFFER: &[u8] = b"v=0\r\no=- 3844012457 1027846113 IN IP4 10.1.0.11\r\ns=-\r\n\
    c=IN IP4 10.1.0.11\r\nt=0 0\r\na=tool:baresip 3.10.1\r\nm=audio 14502 RTP/AVP 96 0 8 101\r\n\
    b=AS:128\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1;sprop-stereo=1\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-15\r\na=rtcp:14503\r\na=sendrecv\r\na=label:1\r\na=rtcp-rsize\r\na=ptime:20\r\n";

/// A receiver report without blocks and an SDES with one CNAME.
const RTCP: &[u8] =
    b"\x80\xc9\0\x01\0\0\0\x07\x81\xca\0\x06\0\0\0\x07\x01\x0e101@10.17.0.21\0\0\0\0";

fn main() {
    let mut rtp = [0_u8; 172];
    rtp[0] = 0x80;
    let us = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
    let places = [Place::Anchor { port: 30_000 }];
    let outside = |ip: IpAddr| ip == us;
    let sdp = Sdp::parse(OFFER);
    let mut rtcp = RTCP.to_vec();

    time("classify, RTP of 172 octets", || is_media(classify(black_box(&rtp))));
    if let Ok(sdp) = &sdp
        && let Some(audio) = sdp.media().first()
    {
        let codecs = Codecs::of(audio);
        measured("measured, packets in order", &codecs, Some);
        measured("measured, one in 20 lost", &codecs, |n| (n % 20 != 7).then_some(n));
        measured("measured, neighbours swapped", &codecs, |n| Some(n ^ 1));
        measured("measured, each jumps by 2999", &codecs, |n| Some(n.wrapping_mul(2999)));
        decided("decided, packets in order", &codecs);
    }
    time("classify, RTCP of 40 octets", || is_media(classify(black_box(RTCP))));
    time("CNAME looked at and kept", || {
        overwrite_names(black_box(&mut rtcp), &[7; 32], &[], outside).into()
    });
    time("CNAME overwritten", || {
        rtcp.copy_from_slice(black_box(RTCP));
        overwrite_names(&mut rtcp, &[7; 32], &[], |_| true).into()
    });
    time("addresses in 440 octets", || find_addresses(black_box(OFFER)).count() as u64);
    time("SDP of 440 octets read", || Sdp::parse(black_box(OFFER)).is_ok().into());
    if let Ok(sdp) = sdp {
        time("SDP of 440 octets rewritten", || sdp.rewrite(us, black_box(&places)).len() as u64);
    }
}

fn is_media(kind: Kind) -> u64 {
    u64::from(matches!(black_box(kind), Kind::Rtp(_) | Kind::Rtcp))
}

/// PCMU on one leg, 20 ms a packet, with the sequence numbers that `plan` makes of 0, 1, 2 …
fn measured(what: &str, codecs: &Codecs, plan: impl Fn(u16) -> Option<u16>) {
    let mut meter = Meter::default();
    meter.set_codecs(Leg::Caller, codecs);
    let mut packet = [0_u8; 172];
    packet[0] = 0x80;
    let mut n: u32 = 0;
    time(what, || {
        n += 1;
        let [.., high, low] = n.to_be_bytes();
        if let Some(sequence) = plan(u16::from_be_bytes([high, low])) {
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&n.wrapping_mul(160).to_be_bytes());
            let now = Mono(Duration::from_millis(u64::from(n) * 20));
            if let Some(content) = Content::read(Lane::Rtp, black_box(&packet)) {
                meter.take(Leg::Caller, &content, now);
            }
        }
        u64::from(n)
    });
}

/// The whole decision of the relay about PCMU on one leg, 20 ms a packet.
fn decided(what: &str, codecs: &Codecs) {
    let party = |port| {
        let at = |port| Some((Ipv4Addr::new(192, 0, 2, 1), port).into());
        Party { rtp: at(port), rtcp: at(port + 1), expect: Expect::Exact }
    };
    let leg = |port, party| LegConfig {
        side: Side::Inside,
        bind: Ipv4Addr::LOCALHOST.into(),
        port,
        dscp: 46,
        party,
    };
    let legs = [leg(20_000, party(4000)), leg(20_002, party(5000))];
    let idle = Some(Duration::from_secs(60));
    let mut stream = Stream::new(StreamId(1), &legs, idle, Mono::default());
    stream.set_codecs(Leg::Caller, codecs);
    let from = (Ipv4Addr::new(192, 0, 2, 1), 4000).into();
    let mut events = Vec::with_capacity(8);
    let mut packet = [0_u8; 172];
    packet[0] = 0x80;
    let mut n: u32 = 0;
    time(what, || {
        n += 1;
        let [.., high, low] = n.to_be_bytes();
        packet[2..4].copy_from_slice(&[high, low]);
        packet[4..8].copy_from_slice(&n.wrapping_mul(160).to_be_bytes());
        let now = Mono(Duration::from_millis(u64::from(n) * 20));
        let place = (Leg::Caller, Lane::Rtp);
        let d = stream.handle(place, from, black_box(&packet), now, &mut events);
        stream.sent(Leg::Caller, Lane::Rtp);
        u64::from(matches!(d.verdict, Verdict::Forward { .. }))
    });
}

/// Prints the best round's time for one turn.
fn time(what: &str, mut turn: impl FnMut() -> u64) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
        let begin = Instant::now();
        for _ in 0..TURNS {
            black_box(turn());
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(TURNS));
    }
    println!("{what:<30} {best:>9.1} ns");
}
