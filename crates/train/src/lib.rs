//! How good are the models, and which may go live? Offline evaluation of what `models` can learn.
//!
//! Nothing here knows how a model works inside: `train` meets learners through their trait. It reads no clock; the time is
//! an argument.

pub mod evaluate;
pub mod protocols;
