//! The relay alone, for a load generator with a fixed port plan: call `i` has the caller's leg on
//! `BASE + 4i` (RTCP +1) and the callee's on `BASE + 4i + 2` (RTCP +3) of one address. Phones are
//! `127.1.0.1 + i` (ports 4000, 4001) and `127.2.0.1 + i` (ports 4100, 4101).
//!
//!     cargo bench --bench relay -- CALLS [ADDRESS [BASE [WORKERS]]]
//!
//! It relays until its standard input ends, then prints what it counted.
#![expect(clippy::expect_used, reason = "a bench that cannot start says why and ends")]

use portreeve::driver::relay_worker::{Options, Relay};
use portreeve::ground::Side;
use portreeve::relay::quality::{Codecs, Format};
use portreeve::relay::{Command, Event, Expect, Leg, LegConfig, Party, StreamId};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let arg = |i: usize, default: &str| args.get(i).map_or(default, String::as_str).to_owned();
    let calls: u32 = arg(0, "0").parse().expect("CALLS is a number");
    let host: IpAddr = arg(1, "127.0.0.20").parse().expect("ADDRESS is an IP address");
    let base: u32 = arg(2, "20000").parse().expect("BASE is a port");
    let workers = arg(3, "1").parse().expect("WORKERS is a number");
    if calls == 0 {
        println!("usage: cargo bench --bench relay -- CALLS [ADDRESS [BASE [WORKERS]]]");
        return;
    }
    let relay = Relay::start(&Options { workers, cname: None }).expect("threads start");
    for i in 0..calls {
        if let Err(Event::OpenFailed { error, .. }) = relay.apply(open(i, host, base)) {
            eprintln!("call {i}: {error}");
            std::process::exit(1);
        }
        // As after an answer: everything is measured.
        for leg in [Leg::Caller, Leg::Callee] {
            let pcmu = Format { payload_type: 0, name: "PCMU".to_owned(), clock_rate: 8000 };
            let codecs = Codecs { formats: vec![pcmu], encrypted: false, speech: true };
            let _ = relay.apply(Command::Codecs { stream: StreamId(i.into()), leg, codecs });
        }
    }
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    for i in 0..calls {
        let _ = relay.apply(Command::Close { stream: StreamId(i.into()) });
    }
    let mut closed = 0;
    let mut odd = Vec::new();
    while closed < calls {
        match relay.try_next_event() {
            Some(Event::Closed { .. }) => closed += 1,
            Some(Event::FirstPacket { .. } | Event::Measured { .. }) => {}
            Some(other) => odd.push(other),
            None => std::thread::yield_now(),
        }
    }
    println!("{:#?}", relay.totals());
    println!("other events: {odd:?}");
}

fn open(i: u32, bind: IpAddr, base: u32) -> Command {
    let phone = |first: Ipv4Addr, port: u16| {
        let host = Ipv4Addr::from_bits(first.to_bits() + i);
        let addr = |port| Some(SocketAddr::new(host.into(), port));
        Party { rtp: addr(port), rtcp: addr(port + 1), expect: Expect::Exact }
    };
    let leg = |side, offset, party| {
        let port = u16::try_from(base + 4 * i + offset).expect("the port plan fits");
        LegConfig { side, bind, port, dscp: 46, party }
    };
    let legs = [
        leg(Side::Inside, 0, phone(Ipv4Addr::new(127, 1, 0, 1), 4000)),
        leg(Side::Outside, 2, phone(Ipv4Addr::new(127, 2, 0, 1), 4100)),
    ];
    Command::Open { stream: StreamId(i.into()), legs, idle: None }
}
