//! Where this machine stands, looked at once a second, and when somebody asks: devices come and go,
//! leases end, and a line dials in anew. Whether an interface follows is not decided here.

use super::Arrival;
use super::inlet::Inlet;
use super::interfaces::Machine;
use crate::config::{Config, Follow, Own};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked.
const WATCH: Duration = Duration::from_secs(1);

/// Interfaces that follow something, by their place in the file.
#[must_use]
pub fn following(config: &Config) -> Vec<(usize, Follow)> {
    let all = config.interfaces.iter().enumerate();
    all.filter_map(|(at, i)| Some((at, i.addresses.following()?.by.clone()))).collect()
}

/// What each of them may have now.
#[must_use]
pub fn look(all: &[(usize, Follow)]) -> Vec<Vec<Own>> {
    let machine = Machine::look();
    all.iter().map(|(_, follow)| follow.look(machine.here())).collect()
}

/// Tells what each of them may have, each time that this has changed since `told` and the next look
/// says the same, and all of them at once when it is asked, for as long as somebody listens.
pub async fn watch(
    all: Vec<(usize, Follow)>,
    mut told: Vec<Vec<Own>>,
    asked: Arc<Notify>,
    inlet: Inlet,
) {
    if all.is_empty() {
        return;
    }
    let mut every = interval(WATCH);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let all: Arc<[(usize, Follow)]> = all.into();
    let mut before = told.clone();
    loop {
        let is_asked = tokio::select! {
            () = asked.notified() => true,
            _ = every.tick() => false,
        };
        let follows = all.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || look(&follows)).await else { return };
        let seen = all.iter().zip(&now).zip(before.iter().zip(told.iter_mut()));
        for (((interface, _), now), (before, told)) in seen {
            if is_asked || now != told && now == before {
                told.clone_from(now);
                let arrival = Arrival::Addresses { interface: *interface, own: now.clone() };
                if !inlet.tell(arrival).await {
                    return;
                }
            }
        }
        before = now;
        if inlet.is_closed() {
            return;
        }
    }
}
