//! Texts as vectors: what sentence encoders, in this process or elsewhere, are asked for.

/// What a text is. Some encoders want to be told; a shopper waits for a query and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRole {
    Query,
    Product,
}

/// Why there are no vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Later it may work.
    #[error("{0}")]
    Unavailable(String),
    /// What may be spent in a day is spent.
    #[error("{0}")]
    Spent(String),
    /// It can't work before the operator changes something.
    #[error("{0}")]
    Refused(String),
}

/// Turns texts into vectors of one space, near each other where the texts mean the same.
///
/// Vectors have length 1 and as many components as all others of the same id; those of different ids MUST NOT be compared. The answer has a
/// vector a text, in order, or is an error. A text that is too long is cut. The same query gets the same vector again, unless the
/// encoder isn't [`Self::is_repeatable`].
pub trait TextEncoder: Send + Sync {
    /// Names the space: changes with anything that changes vectors.
    fn id(&self) -> &str;

    fn encode(&self, texts: &[&str], role: TextRole) -> Result<Vec<Vec<f32>>, EncodeError>;

    /// How many texts are worth handing over at once.
    fn batch(&self) -> usize;

    /// Whether a text always gets the same vector, bit for bit.
    fn is_repeatable(&self) -> bool;
}

/// `vector`, of length 1; `None` where it has no direction: zeros, or what isn't a number.
pub fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() || length < 1e-12 {
        return None;
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    Some(vector)
}
