//! What stands between a process and its services in a simulation.
//!
//! The engines' own lines run over servers in memory ([`SimulatedTopic`](crate::SimulatedTopic),
//! [`SimulatedRedis`](crate::SimulatedRedis)), and each request passes through here: lost on its way, or done and its answer
//! lost, or at the end of the process that sent it.

use merx_store::Result;

pub trait Network: Send + Sync {
    /// A request on its way. `Err`: it never arrives.
    fn request(&self, what: &'static str) -> Result<()>;

    /// The answer on its way back. `Err`: what was asked is done, and who asked does not know.
    fn answer(&self, what: &'static str) -> Result<()>;
}

/// A way on which nothing is lost.
pub struct Direct;

impl Network for Direct {
    fn request(&self, _what: &'static str) -> Result<()> {
        Ok(())
    }

    fn answer(&self, _what: &'static str) -> Result<()> {
        Ok(())
    }
}
