//! The E-model (ITU-T G.107, 06/2015) with its default parameters, and what ITU-T G.113 publishes
//! of codecs. Arithmetic only: what is not published is not guessed, and what is not measured is
//! left out by the caller, who says so.

use super::quality::Rating;
use std::time::Duration;

/// A codec that can be rated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    /// Encoding name as registered (RFC 4855).
    pub name: &'static str,
    /// Equipment impairment factor Ie (G.113 Appendix I), on the narrow-band scale.
    pub ie: f64,
    /// Packet-loss robustness factor Bpl (G.113 Appendix I).
    pub bpl: f64,
}

/// Codecs with published factors. G.711 counts as concealed (Bpl 25.1, G.711 Appendix I): every
/// phone with a jitter buffer conceals. Where no Bpl is published, that of unconcealed G.711 stands
/// for it (4.3): never better than the truth. G.722 has its factor on the wide-band scale (Ie,wb 13
/// of 129); the narrow-band scale ends where that of R = 116 / 1.29 stands.
const CODECS: [Codec; 10] = [
    Codec { name: "PCMU", ie: 0.0, bpl: 25.1 },
    Codec { name: "PCMA", ie: 0.0, bpl: 25.1 },
    Codec { name: "G722", ie: 3.3, bpl: 4.3 },
    Codec { name: "G729", ie: 11.0, bpl: 19.0 },
    Codec { name: "G723", ie: 15.0, bpl: 16.1 },
    Codec { name: "GSM", ie: 20.0, bpl: 4.3 },
    Codec { name: "GSM-EFR", ie: 5.0, bpl: 10.0 },
    Codec { name: "G728", ie: 7.0, bpl: 4.3 },
    Codec { name: "G726-32", ie: 7.0, bpl: 4.3 },
    Codec { name: "G726-40", ie: 2.0, bpl: 4.3 },
];

impl Codec {
    /// The codec of an encoding name (case does not count, RFC 4855 §3); `None`: no factors are
    /// published, as for Opus.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CODECS.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }
}

/// Basic signal-to-noise ratio Ro of the default parameters.
const RO: f64 = 94.768_8;
/// Simultaneous impairment Is of the default parameters.
const IS: f64 = 1.413_6;
/// Noise at the 0 dBr point, No, of the default parameters (dBm0p).
const NO: f64 = -61.179_2;
/// Receive loudness rating, talker echo loudness rating, weighted echo path loss (dB).
const RLR: f64 = 2.0;
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
/// Minimum perceivable delay (ms) and delay sensitivity of the default class.
const MT: f64 = 100.0;

/// Rates speech: `lost` 0–1 of the packets, `burst_ratio` ≥ 1 (1: random loss), one-way `delay`
/// from mouth to ear as far as it is known; `None`: none is counted (listening quality).
#[must_use]
pub fn rate(codec: &Codec, lost: f64, burst_ratio: f64, delay: Option<Duration>) -> Rating {
    let percent = (lost * 100.0).clamp(0.0, 100.0);
    // G.107 (7-29).
    let ie_eff =
        codec.ie + (95.0 - codec.ie) * percent / (percent / burst_ratio.max(1.0) + codec.bpl);
    let r = RO - IS - impairment(delay.unwrap_or_default()) - ie_eff;
    Rating { r_milli: milli(r.clamp(0.0, 100.0)), mos_milli: milli(mos(r)), delay }
}

/// Delay impairment Id (G.107 §7.4): talker echo, listener echo, pure delay.
fn impairment(one_way: Duration) -> f64 {
    let t = one_way.as_secs_f64() * 1000.0;
    let root = |x: f64, c: f64| (x * x / 4.0 + c).sqrt();
    let terv =
        TELR - 40.0 * ((1.0 + t / 10.0) / (1.0 + t / 150.0)).log10() + 6.0 * (-0.3 * t * t).exp();
    let re = 80.0 + 2.5 * (terv - 14.0);
    let roe = -1.5 * (NO - RLR);
    let talker = ((roe - re) / 2.0 + root(roe - re, 100.0) - 1.0) * (1.0 - (-t).exp());
    // Within the first milliseconds the formula falls a little below 0: no echo is no gain.
    let talker = talker.max(0.0);
    let rle = 10.5 * (WEPL + 7.0) * (2.0 * t + 1.0).powf(-0.25);
    let listener = (RO - rle) / 2.0 + root(RO - rle, 169.0);
    let pure = if t <= MT {
        0.0
    } else {
        let x = (t / MT).log2();
        let sixth = |v: f64| (1.0 + v.powi(6)).powf(1.0 / 6.0);
        25.0 * (sixth(x) - 3.0 * sixth(x / 3.0) + 2.0)
    };
    talker + listener + pure
}

/// MOS-CQE of R (G.107 Annex B).
#[must_use]
pub fn mos(r: f64) -> f64 {
    if r >= 100.0 {
        return 4.5;
    }
    if r <= 0.0 {
        return 1.0;
    }
    // Below R = 6.5 the polynomial dips under 1, which is no opinion.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100,000")]
fn milli(x: f64) -> u32 {
    (x * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PCMA: &str = "PCMA";

    fn r(name: &str, lost: f64, burst: f64, ms: Option<u64>) -> f64 {
        rate(Codec::named(name).unwrap(), lost, burst, ms.map(Duration::from_millis)).r()
    }

    fn near(got: f64, want: f64, by: f64) {
        assert!((got - want).abs() <= by, "{got} is not {want}");
    }

    #[test]
    fn the_default_parameters_give_93_2() {
        near(r(PCMA, 0.0, 1.0, None), 93.2, 0.01);
        near(mos(93.2), 4.41, 0.005);
    }

    /// G.113 Appendix I: the first column of its tables, without loss.
    #[test]
    fn a_codec_costs_its_impairment() {
        near(r("G729", 0.0, 1.0, None), 82.2, 0.01);
        near(r("G723", 0.0, 1.0, None), 78.2, 0.01);
        near(r("gsm", 0.0, 1.0, None), 73.2, 0.01);
    }

    /// G.107 (7-29) worked out by hand: 95 × 2 / (2 + 25.1) and 11 + 84 × 2 / (2 + 19).
    #[test]
    fn loss_costs_by_robustness_and_more_in_bursts() {
        near(r(PCMA, 0.02, 1.0, None), 93.2 - 7.011, 0.01);
        near(r("G729", 0.02, 1.0, None), 93.2 - 19.0, 0.01);
        near(r(PCMA, 0.02, 2.0, None), 93.2 - 190.0 / 26.1, 0.01);
    }

    /// G.107 Appendix I has 93.2 → about 90 at 150 ms and below 80 at 300 ms (mouth to ear, default
    /// echo loss).
    #[test]
    fn delay_costs_little_below_and_much_beyond_150_ms() {
        near(r(PCMA, 0.0, 1.0, Some(20)), 93.0, 0.5);
        let at = |ms| r(PCMA, 0.0, 1.0, Some(ms));
        assert!(at(150) > 86.0 && at(150) < 91.0, "{}", at(150));
        assert!(at(300) > 70.0 && at(300) < 82.0, "{}", at(300));
        assert!(at(400) < 75.0, "{}", at(400));
    }

    #[test]
    fn the_first_milliseconds_are_no_gain() {
        let none = r(PCMA, 0.0, 1.0, None);
        for ms in 0..10 {
            assert!(r(PCMA, 0.0, 1.0, Some(ms)) <= none, "{ms} ms");
        }
    }

    #[test]
    fn unpublished_codecs_have_no_factors() {
        assert!(Codec::named("opus").is_none());
        assert!(Codec::named("pcmu").is_some());
    }

    proptest! {
        #[test]
        fn nothing_makes_a_rating_better(
            lost in 0.0..1.0_f64, more in 0.0..1.0_f64, burst in 1.0..50.0_f64, ms in 0..2000_u64,
        ) {
            let codec = Codec::named(PCMA).unwrap();
            let base = rate(codec, lost, burst, Some(Duration::from_millis(ms)));
            prop_assert!(base.r_milli <= 93_210 && (1000..=4500).contains(&base.mos_milli));
            let worse = rate(codec, lost.max(more), burst, Some(Duration::from_millis(ms + 50)));
            prop_assert!(worse.r_milli <= base.r_milli);
            prop_assert!(worse.mos_milli <= base.mos_milli);
            prop_assert!(base.r_milli <= rate(codec, lost, burst, None).r_milli);
        }
    }
}
