//! What a feature is.

use merx_domain::TimestampMs;

use crate::codec::Encoded;

/// One thing that is known of a subject or a product: what it keeps, what an event writes, what it returns.
///
/// The same lines run live and in a replay, so `apply` and `value` MUST depend on their arguments alone, and events
/// applied in the same order MUST give the same bits. Events MAY come late, with a time before that of events already
/// applied. A state MUST be bounded, whatever happens.
pub(crate) trait Feature {
    /// As it stands in documentation and records.
    const NAME: &'static str;
    /// What is kept; the default is the state of someone never seen.
    type State: Encoded + Default;
    /// The part of an event that it reads.
    type Signal<'a>;
    type Value;

    fn apply(state: &mut Self::State, signal: &Self::Signal<'_>);

    /// What is known at `now`, which is not before the newest event applied.
    fn value(state: &Self::State, now: TimestampMs) -> Self::Value;
}

/// A feature of subjects. Two subjects may turn out to be one person.
pub(crate) trait SubjectFeature: Feature {
    /// Takes over what was known of `other`.
    fn merge(state: &mut Self::State, other: &Self::State);
}
