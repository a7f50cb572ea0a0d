//! Whatever a party sends, the figures stay within bounds and windows never exceed totals. Octets
//! are split into packets by a length octet each; its top bits choose leg, lane and time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::ground::Mono;
use portreeve::relay::Leg;
use portreeve::relay::content::Content;
use portreeve::relay::flow::Lane;
use portreeve::relay::meter::Meter;
use portreeve::relay::quality::{Codecs, Format};
use std::time::Duration;

fuzz_target!(|octets: &[u8]| {
    let format = |payload_type, name: &str| Format {
        payload_type,
        name: name.to_owned(),
        clock_rate: 8000,
    };
    let formats = vec![format(8, "PCMA"), format(101, "telephone-event")];
    let mut meter = Meter::default();
    meter.set_codecs(Leg::Caller, &Codecs { formats, encrypted: false, speech: true });
    let mut rest = octets;
    let mut ms = 0;
    while let Some((&first, after)) = rest.split_first() {
        let (packet, after) = after.split_at(after.len().min(usize::from(first & 0x3f)));
        rest = after;
        let leg = if first & 0x80 == 0 { Leg::Caller } else { Leg::Callee };
        let lane = if first & 0x40 == 0 { Lane::Rtp } else { Lane::Rtcp };
        ms += u64::from(first);
        let now = Mono(Duration::from_millis(ms));
        if let Some(content) = Content::read(lane, packet) {
            meter.take(leg, &content, now);
        }
        for [window, total] in meter.figures([0; 2], now) {
            assert!(window.received <= total.received);
            assert!(total.lost <= total.expected);
            if let Ok(rating) = total.rating {
                assert!(rating.r_milli <= 93_210 && (1000..=4500).contains(&rating.mos_milli));
            }
        }
        meter.window([0; 2], now);
    }
});
