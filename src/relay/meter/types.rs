//! Payload types as the meter sees them: one look into a table for each packet. Built when a
//! party's SDP is known, never for a packet.

use crate::relay::emodel::Codec;
use crate::relay::quality::Codecs;

/// What a payload type is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload {
    /// Nobody has said yet what types mean.
    Unsaid,
    /// In no SDP of the receiver.
    Mismatch,
    /// Speech, or pictures.
    Media {
        /// Ticks a second.
        clock_rate: u32,
        /// Its factors, if any are published.
        codec: Option<&'static Codec>,
    },
    /// Comfort noise or telephone events: sent beside speech, with own ways of keeping time.
    Aside,
}

/// The table of one leg.
#[derive(Clone, Debug)]
pub(super) struct Types {
    /// By payload type: index into `kinds`.
    index: [u8; 128],
    /// The first is what types mean that are not listed.
    kinds: Vec<Payload>,
    pub(super) speech: bool,
    pub(super) encrypted: bool,
}

impl Types {
    /// No SDP is known.
    pub(super) fn unsaid() -> Self {
        Self { index: [0; 128], kinds: vec![Payload::Unsaid], speech: true, encrypted: false }
    }

    /// As the SDP says; a section without readable types says nothing.
    pub(super) fn new(codecs: &Codecs) -> Self {
        let mut types = Self {
            index: [0; 128],
            kinds: vec![if codecs.formats.is_empty() {
                Payload::Unsaid
            } else {
                Payload::Mismatch
            }],
            speech: codecs.speech,
            encrypted: codecs.encrypted,
        };
        for format in codecs.formats.iter().take(Codecs::MOST) {
            let is = |name: &str| format.name.eq_ignore_ascii_case(name);
            let kind = if is("telephone-event") || is("CN") || is("tone") {
                Payload::Aside
            } else {
                let codec = Codec::named(&format.name);
                Payload::Media { clock_rate: format.clock_rate.max(1), codec }
            };
            if let Some(i) = types.index.get_mut(usize::from(format.payload_type)) {
                *i = u8::try_from(types.kinds.len()).unwrap_or_default();
                types.kinds.push(kind);
            }
        }
        types
    }

    #[inline]
    pub(super) fn of(&self, payload_type: u8) -> Payload {
        let i = self.index.get(usize::from(payload_type)).copied().unwrap_or_default();
        self.kinds.get(usize::from(i)).copied().unwrap_or(Payload::Unsaid)
    }
}
