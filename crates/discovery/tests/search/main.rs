//! What searches of a small shop find, count, show and say.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

mod answers;
mod changes;
mod facets;
mod ranking;
mod shop;
mod words;
