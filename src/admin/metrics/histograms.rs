//! Measured values → histograms: held handles, so that measuring costs no look-up.

use super::{Labels, META, Metrics};
use crate::daemon::Observed;
use crate::engine::Observation;
use crate::ground::{CallDirection, Side};
use crate::relay::quality::Figures;
use metrics::{Histogram, Recorder as _};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::time::Duration;

/// A held handle for each series of each histogram.
pub(super) struct Histograms {
    post_dial: [Histogram; 3],
    duration: [Histogram; 3],
    disconnect: Histogram,
    registration: Histogram,
    processing: Histogram,
    relay_delay: Histogram,
    sides: [SideHistograms; 2],
}

struct SideHistograms {
    jitter: Histogram,
    loss: Histogram,
    round_trip: Histogram,
    r: Histogram,
    mos: Histogram,
}

impl Histograms {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        let of = |name: &'static str, labels: Labels<'_>| {
            recorder.register_histogram(&Metrics::key(name, labels), &META)
        };
        let directions = |name| CallDirection::NAMES.map(|d| of(name, &[("direction", d)]));
        let sides = Side::ALL.map(|side| {
            let side = [("side", side.as_str())];
            SideHistograms {
                jitter: of("portreeve_media_jitter_seconds", &side),
                loss: of("portreeve_media_loss_ratio", &side),
                round_trip: of("portreeve_media_round_trip_seconds", &side),
                r: of("portreeve_media_r_factor", &side),
                mos: of("portreeve_media_mos", &side),
            }
        });
        Self {
            post_dial: directions("portreeve_post_dial_delay_seconds"),
            duration: directions("portreeve_call_duration_seconds"),
            disconnect: of("portreeve_disconnect_delay_seconds", &[]),
            registration: of("portreeve_registration_delay_seconds", &[]),
            processing: of("portreeve_sip_processing_seconds", &[]),
            relay_delay: of("portreeve_media_relay_delay_seconds", &[]),
            sides,
        }
    }

    pub(super) fn record(&self, observed: &Observed) {
        let put = |h: &Histogram, d: Duration| h.record(d.as_secs_f64());
        let at = |all: &[Histogram; 3], i: CallDirection, d: Duration| {
            if let Some(h) = all.get(i as usize) {
                put(h, d);
            }
        };
        match observed {
            Observed::Processing(d) => put(&self.processing, *d),
            Observed::RelayDelay(d) => put(&self.relay_delay, *d),
            Observed::Engine(Observation::PostDialDelay { direction, delay }) => {
                at(&self.post_dial, *direction, *delay);
            }
            Observed::Engine(Observation::CallDuration { direction, duration }) => {
                at(&self.duration, *direction, *duration);
            }
            Observed::Engine(Observation::DisconnectDelay(d)) => put(&self.disconnect, *d),
            Observed::Engine(Observation::RegistrationDelay(d)) => put(&self.registration, *d),
            Observed::Engine(Observation::Media { side, window }) => {
                self.sides[side.index()].record(window);
            }
        }
    }
}

impl SideHistograms {
    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds of 10 s")]
    fn record(&self, w: &Figures) {
        if w.expected > 0 {
            self.loss.record(w.lost as f64 / w.expected as f64);
        }
        if let Some(us) = w.jitter_us {
            self.jitter.record(us as f64 / 1e6);
        }
        if let Ok(us) = w.round_trip_us {
            self.round_trip.record(us as f64 / 1e6);
        }
        if let Ok(rating) = w.rating {
            self.r.record(rating.r());
            self.mos.record(rating.mos());
        }
    }
}
