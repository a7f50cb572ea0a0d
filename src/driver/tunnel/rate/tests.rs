use super::*;

#[test]
fn speech_keeps_its_window_after_a_loss_and_gives_it_up_on_a_path_that_carries_nothing() {
    let start = tokio::time::Instant::now().into_std();
    let ports = Arc::new(AtomicUsize::new(20));
    let mut c = Arc::new(Rate { ports: ports.clone() }).build(start, 1_200);
    let need = floor(20);
    assert!(need > 2_000_000 && c.window() >= need);
    let at = |ms: u64| start + Duration::from_millis(ms);
    for n in 0..50 {
        c.on_congestion_event(at(n), at(n), false, 1_200);
        c.on_sent(at(n), 1_200, n);
    }
    assert!(c.window() >= need, "as much as speech needs");
    // All is lost for some seconds: the usual rules hold.
    for n in 1..60 {
        c.on_congestion_event(at(n * 100), at(n * 100 - 50), n % 10 == 0, 1_200);
    }
    assert!(c.window() < need);
    ports.store(0, Relaxed);
    assert_eq!(floor(0), LEAST);
}

#[test]
fn a_broken_circuit_closes_when_the_path_carries_again() {
    let start = tokio::time::Instant::now().into_std();
    let mut b = Breaker::new(start);
    let mut second = 0;
    let mut look = |b: &mut Breaker, arrived, lost| {
        second += 3;
        b.heard(start + Duration::from_secs(second), arrived, lost);
        b.is_broken
    };
    assert!(!look(&mut b, 10, 90), "once is a gap");
    assert!(!look(&mut b, 90, 10));
    assert!(!look(&mut b, 10, 90));
    assert!(look(&mut b, 10, 90));
    assert!(look(&mut b, 70, 30), "still much");
    assert!(!look(&mut b, 95, 5));
}
