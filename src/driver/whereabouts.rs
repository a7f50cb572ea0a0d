//! Where this machine stands, looked at once a second: devices come and go, leases end, and a line
//! dials in anew. Whether an interface follows is not decided here.

use super::Arrival;
use super::inlet::Inlet;
use super::interfaces;
use crate::config::{Config, Follow, Found};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked.
const WATCH: Duration = Duration::from_secs(1);

/// Interfaces that follow something, by their place in the file, and where they stand.
#[must_use]
pub fn following(config: &Config) -> Vec<(usize, Follow, Found)> {
    let all = config.interfaces.iter().enumerate();
    let follows = all.filter_map(|(at, i)| {
        let following = i.addresses.following()?;
        Some((at, following.by.clone(), i.addresses.found()))
    });
    follows.collect()
}

/// Tells where each of them has its address, each time that this has changed and the next look says
/// the same, for as long as somebody listens.
pub async fn watch(all: Vec<(usize, Follow, Found)>, inlet: Inlet) {
    if all.is_empty() {
        return;
    }
    let mut every = interval(WATCH);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Vec<Found> = all.iter().map(|(_, _, found)| *found).collect();
    let mut before = told.clone();
    loop {
        every.tick().await;
        let follows: Vec<Follow> = all.iter().map(|(_, follow, _)| follow.clone()).collect();
        let look = move || {
            let (devices, routes) = (interfaces::devices(), interfaces::sources());
            let now = follows.iter().map(|follow| follow.look(&devices, routes));
            now.collect::<Vec<Found>>()
        };
        let Ok(now) = tokio::task::spawn_blocking(look).await else { return };
        let seen = all.iter().zip(&now).zip(before.iter().zip(told.iter_mut()));
        for (((interface, ..), now), (before, told)) in seen {
            if now != told && now == before {
                *told = *now;
                let arrival = Arrival::Addresses { interface: *interface, found: *now };
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
