//! What an answer says of whether its upstream serves, and which of those that are refused may be
//! led another way. It decides nothing about the upstream.

use crate::engine::purpose::Purpose;
use crate::engine::upstreams::{Asker, Sign, is_out_of_service};
use crate::wire::sip::Method;

/// What an answer to a request of this purpose says; `None`: to one of our own.
pub(super) fn sign(purpose: Option<&Purpose>, method: &Method, status: u16) -> Sign {
    let within = matches!(purpose, None | Some(Purpose::InDialog(_)));
    // Whoever is well enough to be there answers these.
    let calls_nobody = matches!(method, Method::Cancel | Method::Options | Method::Ack);
    let is_new = !within && !calls_nobody;
    let rings = *method == Method::Invite && (180..190).contains(&status);
    match status {
        401 | 407 => Sign::Asks,
        200..300 if is_new => Sign::Serves,
        _ if is_new && rings => Sign::Serves,
        100 | 408 if is_new => {
            Sign::Before { register: status == 408 && *method == Method::Register }
        }
        status if calls_nobody && purpose.is_some() && !is_out_of_service(status) => {
            Sign::Before { register: false }
        }
        status if !is_out_of_service(status) => Sign::There,
        _ if is_new => Sign::Refuses { register: *method == Method::Register },
        _ => Sign::Nothing,
    }
}

/// What a registered phone asked for, and was refused, may be served by the site itself. Emergency
/// calls try other ways at once.
pub(super) fn may_wait(sign: Sign, by: Asker<'_>, purpose: Option<&Purpose>) -> bool {
    let refused = matches!(sign, Sign::Refuses { .. }) && matches!(by, Asker::Phone(_));
    refused
        && match purpose {
            Some(Purpose::Invite { tried, .. }) => tried.is_none(),
            Some(Purpose::Subscribe { .. } | Purpose::Register(_) | Purpose::Other) => true,
            Some(Purpose::InDialog(_)) | None => false,
        }
}
