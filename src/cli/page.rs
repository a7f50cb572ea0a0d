//! `page`: the link that opens the page of the running gateway, for whoever may ask at its control
//! socket. It opens no browser.

use super::ControlArgs;
use super::control::{self, text};
use super::table::shown;

pub(super) fn page(args: &ControlArgs) -> u8 {
    control::show(args, "/page", |v| println!("{}", shown(text(v, "/link"))))
}
