//! Everything that touches the kernel. It decides nothing: it carries out what the layers left of
//! the seam decided, and hands them what came in.

pub mod media_socket;
pub mod relay_worker;
