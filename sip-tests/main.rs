//! One test binary: the engine through its front door, and the house rules.
