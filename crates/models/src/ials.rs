//! iALS: matrix factorisation for implicit feedback, after Rendle, Krichene, Zhang and Koren, "Revisiting the Performance
//! of iALS on Item Recommendation Benchmarks" (RecSys 2022), with the frequency-scaled regularisation that makes it strong.
//!
//! It looks for vectors `w` of subjects and `h` of items that make
//!
//! ```text
//! sum over observed (u, i) of c (<w_u, h_i> - 1)^2  +  a sum over all (u, i) of <w_u, h_i>^2
//!     +  l sum over u of (n_u + a |I|)^v |w_u|^2  +  l sum over i of (n_i + a |U|)^v |h_i|^2
//! ```
//!
//! small, `c` the strength of an interaction, `n` its sum over a subject or an item, `a` the unobserved weight, `l` the
//! regularisation and `v` its exponent. With the vectors of one side held, those of the other are independent linear
//! systems. They are solved in the basis of the eigenvectors of the held side's Gramian (inner products don't change when
//! both sides turn): there the part that all systems share is diagonal, so a step of conjugate gradients costs a multiple of
//! the observed entries only, and the diagonal makes a good preconditioner. A few warm-started steps a sweep do; the block
//! updates of iALS++ serve the same end, at the cost of squares of the block for every entry.
//!
//! The model holds item vectors and the diagonal of their Gramian, nothing about subjects: the vector of whoever asks is
//! solved for from the history in the query.

use merx_numeric::inner_product::InnerProductIndex;
use merx_numeric::kernels::{add_weighted_rows, add_weighted_squares, axpy, dot, mat_vec};
use merx_numeric::rng::Rng;
use merx_numeric::sparse::SparseRows;
use merx_numeric::spectral::{gramian, map_rows, symmetric_eigen};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::strength::Strengths;
use crate::{Contribution, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored, TrainingSet, artifact};

const FAMILY: &str = "ials";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

/// Systems that one task solves.
const ROWS_PER_TASK: usize = 64;
/// A query's system is solved to this accuracy, relative to where it starts, or in this many steps.
const QUERY_TOLERANCE: f32 = 1e-4;
const QUERY_STEPS: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IalsSettings {
    /// Components of a vector.
    pub dimensions: usize,
    /// The weight of "not seen" beside the weight 1 of "bought".
    pub unobserved_weight: f32,
    pub regularization: f32,
    /// 0: the same for all; 1: in proportion to how often a subject or an item was seen.
    pub regularization_exponent: f32,
    /// Times that both sides are solved for.
    pub sweeps: usize,
    /// Steps of conjugate gradients a system gets in a sweep.
    pub solver_steps: usize,
    pub strengths: Strengths,
}

impl Default for IalsSettings {
    fn default() -> Self {
        Self {
            dimensions: 64,
            unobserved_weight: 0.007,
            regularization: 0.008,
            regularization_exponent: 1.0,
            sweeps: 15,
            solver_steps: 2,
            strengths: Strengths::default(),
        }
    }
}

/// Fits [`Ials`].
#[derive(Debug, Clone, Copy, Default)]
pub struct IalsLearner {
    pub settings: IalsSettings,
}

impl Learner for IalsLearner {
    type Set = TrainingSet;
    type Model = Ials;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, seed: u64) -> Result<Ials, ModelError> {
        let by_subject = self.settings.strengths.matrix(&set.histories, set.item_count);
        self.fit_matrix(&by_subject, seed)
    }

    fn load(&self, bytes: &[u8]) -> Result<Ials, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => Ials::from_state(artifact::decode(FAMILY, format, body)?, format),
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

impl IalsLearner {
    /// Fits on strengths: a row a subject, a column an item.
    pub(crate) fn fit_matrix(&self, by_subject: &SparseRows, seed: u64) -> Result<Ials, ModelError> {
        let settings = self.settings;
        let dimensions = settings.dimensions;
        if by_subject.stored() == 0 || dimensions == 0 {
            return Err(ModelError::NoData("no history names an item".to_owned()));
        }
        let by_item = by_subject.transposed();
        let mut rng = Rng::from_seed(seed);
        let deviation = 0.1 / (dimensions as f64).sqrt();
        let mut items: Vec<f32> = (0..by_item.rows() * dimensions).map(|_| (rng.normal() * deviation) as f32).collect();
        let mut subjects = vec![0.0; by_subject.rows() * dimensions];
        for _ in 0..settings.sweeps {
            half_sweep(&settings, by_subject, &mut items, &mut subjects)?;
            half_sweep(&settings, &by_item, &mut subjects, &mut items)?;
        }
        let gram = turn_to_eigenvectors(&mut items, &mut [], dimensions)?;
        Ials::from_state(State { settings, items, gram }, FORMAT)
    }
}

/// Solves for the vectors of one side, `solved`, with those of the other `held`. A row of `observed` is a vector to solve
/// for, a column one that is held.
fn half_sweep(
    settings: &IalsSettings,
    observed: &SparseRows,
    held: &mut [f32],
    solved: &mut [f32],
) -> Result<(), ModelError> {
    let dimensions = settings.dimensions;
    let gram = turn_to_eigenvectors(held, solved, dimensions)?;
    let systems = Systems { settings, gram: &gram, held };
    solved.par_chunks_mut(ROWS_PER_TASK * dimensions).enumerate().for_each_init(
        Workspace::default,
        |work, (task, out)| {
            for (at, x) in out.chunks_exact_mut(dimensions).enumerate() {
                let (columns, strengths) = observed.row(task * ROWS_PER_TASK + at);
                systems.load(columns, strengths, work);
                systems.solve_for_taste(x, settings.solver_steps, 0.0, work);
            }
        },
    );
    Ok(())
}

/// Turns both matrices into the basis in which the Gramian of `held` is diagonal, and returns the diagonal.
fn turn_to_eigenvectors(held: &mut [f32], other: &mut [f32], dimensions: usize) -> Result<Vec<f32>, ModelError> {
    let eigen = symmetric_eigen(&gramian(held, dimensions), dimensions)
        .ok_or_else(|| ModelError::NoData("strengths or settings aren't finite numbers".to_owned()))?;
    map_rows(held, &eigen.vectors, dimensions);
    map_rows(other, &eigen.vectors, dimensions);
    Ok(eigen.values.iter().map(|value| value.max(0.0) as f32).collect())
}

/// The systems of one side: `(a G + ridge + Hᵀ C H) x = Hᵀ c`, `G` diagonal, `H` the held vectors of a row's entries and
/// `C` their strengths.
struct Systems<'a> {
    settings: &'a IalsSettings,
    /// The diagonal of the held side's Gramian.
    gram: &'a [f32],
    held: &'a [f32],
}

/// One system and the memory to solve it in.
#[derive(Debug, Default)]
struct Workspace {
    /// `H`, a row an entry, and the diagonal of `C`.
    vectors: Vec<f32>,
    strengths: Vec<f32>,
    /// `a G + ridge`, and the inverse of the whole diagonal.
    diagonal: Vec<f32>,
    preconditioner: Vec<f32>,
    residual: Vec<f32>,
    direction: Vec<f32>,
    image: Vec<f32>,
    /// A number an entry.
    products: Vec<f32>,
}

impl Systems<'_> {
    fn load(&self, columns: &[u32], strengths: &[f32], work: &mut Workspace) {
        let dimensions = self.gram.len();
        let settings = self.settings;
        work.strengths.clear();
        work.strengths.extend_from_slice(strengths);
        work.vectors.clear();
        for &column in columns {
            work.vectors.extend_from_slice(&self.held[column as usize * dimensions..][..dimensions]);
        }
        let held_count = self.held.len() / dimensions;
        let frequency = strengths.iter().sum::<f32>() + settings.unobserved_weight * held_count as f32;
        // A trace of ridge keeps the system solvable where the regularisation is 0.
        let ridge = (settings.regularization * frequency.powf(settings.regularization_exponent)).max(1e-9);
        work.diagonal.clear();
        work.diagonal.extend(self.gram.iter().map(|value| settings.unobserved_weight * value + ridge));
        work.preconditioner.clone_from(&work.diagonal);
        add_weighted_squares(&work.vectors, &work.strengths, &mut work.preconditioner);
        work.preconditioner.iter_mut().for_each(|value| *value = value.recip());
        work.products.resize(columns.len(), 0.0);
    }

    /// Improves `x`, the vector of a row, in at most `steps` steps.
    fn solve_for_taste(&self, x: &mut [f32], steps: usize, tolerance: f32, work: &mut Workspace) {
        if work.strengths.is_empty() {
            return x.fill(0.0);
        }
        mat_vec(&work.vectors, x, &mut work.products);
        for (product, strength) in work.products.iter_mut().zip(&work.strengths) {
            *product = strength * (1.0 - *product);
        }
        work.residual.clear();
        work.residual.extend(x.iter().zip(&work.diagonal).map(|(x, diagonal)| -x * diagonal));
        add_weighted_rows(&work.vectors, &work.products, &mut work.residual);
        work.descend(x, steps, tolerance);
    }

    /// The inverse of the loaded system applied to `target`.
    fn invert(&self, target: &[f32], work: &mut Workspace) -> Vec<f32> {
        let mut x = vec![0.0; target.len()];
        work.residual.clear();
        work.residual.extend_from_slice(target);
        work.descend(&mut x, QUERY_STEPS, QUERY_TOLERANCE);
        x
    }
}

impl Workspace {
    /// Preconditioned conjugate gradients from `x`, whose residual is in place.
    fn descend(&mut self, x: &mut [f32], steps: usize, tolerance: f32) {
        self.direction.clear();
        self.direction.extend(self.residual.iter().zip(&self.preconditioner).map(|(r, p)| r * p));
        let mut energy = dot(&self.residual, &self.direction);
        let enough = energy * tolerance * tolerance;
        for _ in 0..steps {
            if energy <= enough || energy <= f32::MIN_POSITIVE {
                return;
            }
            self.multiply_direction();
            let step = energy / dot(&self.direction, &self.image);
            axpy(step, &self.direction, x);
            axpy(-step, &self.image, &mut self.residual);
            self.image.iter_mut().zip(&self.residual).zip(&self.preconditioner).for_each(|((z, r), p)| *z = r * p);
            let next = dot(&self.residual, &self.image);
            let keep = next / energy;
            self.direction.iter_mut().zip(&self.image).for_each(|(direction, z)| *direction = z + keep * *direction);
            energy = next;
        }
    }

    /// `image = system · direction`.
    fn multiply_direction(&mut self) {
        mat_vec(&self.vectors, &self.direction, &mut self.products);
        self.products.iter_mut().zip(&self.strengths).for_each(|(product, strength)| *product *= strength);
        self.image.clear();
        self.image.extend(self.direction.iter().zip(&self.diagonal).map(|(direction, diagonal)| direction * diagonal));
        add_weighted_rows(&self.vectors, &self.products, &mut self.image);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    settings: IalsSettings,
    /// A row an item, in the basis that makes their Gramian diagonal.
    items: Vec<f32>,
    gram: Vec<f32>,
}

/// Item vectors fitted by [`IalsLearner`].
#[derive(Debug)]
pub struct Ials {
    settings: IalsSettings,
    gram: Vec<f32>,
    items: InnerProductIndex,
}

impl Ials {
    pub(crate) fn from_state(state: State, format: u16) -> Result<Self, ModelError> {
        let State { settings, items, gram } = state;
        let dimensions = settings.dimensions;
        if dimensions == 0 || gram.len() != dimensions || !items.len().is_multiple_of(dimensions) {
            return Err(artifact::refused(FAMILY, format, "sizes don't agree"));
        }
        Ok(Self { settings, gram, items: InnerProductIndex::new(&items, dimensions) })
    }

    pub(crate) fn state(&self) -> State {
        State { settings: self.settings, items: self.items.vectors(), gram: self.gram.clone() }
    }

    pub fn settings(&self) -> &IalsSettings {
        &self.settings
    }

    /// The vector of an item.
    pub fn item_vector(&self, item: u32) -> &[f32] {
        self.items.vector(item)
    }

    /// Adds the `limit` items with the largest inner products with `vector` to `out`, best first, without those `skipped`.
    pub(crate) fn nearest(&self, vector: &[f32], limit: usize, skipped: &[u32], out: &mut Vec<Scored>) {
        let best = self.items.search(vector, limit, skipped);
        out.extend(best.into_iter().map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    /// The vector of whoever has this history, items with strengths; zeros where it is empty.
    pub fn fold_in(&self, history: &[(u32, f32)]) -> Vec<f32> {
        let mut vector = vec![0.0; self.settings.dimensions];
        self.systems().solve_for_taste(&mut vector, QUERY_STEPS, QUERY_TOLERANCE, &mut self.loaded(history));
        vector
    }

    fn systems(&self) -> Systems<'_> {
        Systems { settings: &self.settings, gram: &self.gram, held: self.items.rows().0 }
    }

    fn loaded(&self, history: &[(u32, f32)]) -> Workspace {
        let rows = self.items.rows().1;
        let (columns, strengths): (Vec<u32>, Vec<f32>) =
            history.iter().map(|&(item, strength)| (rows[item as usize], strength)).unzip();
        let mut work = Workspace::default();
        self.systems().load(&columns, &strengths, &mut work);
        work
    }

    /// How much each entry of a history adds to the score of an item (Hu, Koren and Volinsky 2008, section 5).
    pub(crate) fn shares(&self, history: &[(u32, f32)], item: u32) -> Vec<f32> {
        let weights = self.systems().invert(self.item_vector(item), &mut self.loaded(history));
        history.iter().map(|&(entry, strength)| strength * dot(&weights, self.item_vector(entry))).collect()
    }
}

impl Model for Ials {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state())
    }
}

impl Recommender for Ials {
    fn item_count(&self) -> usize {
        self.items.len()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let items = self.settings.strengths.of_query(query, self.item_count());
        Box::new(OpenIals { model: self, vector: self.fold_in(&items), items, query: *query })
    }
}

struct OpenIals<'a> {
    model: &'a Ials,
    vector: Vec<f32>,
    items: Vec<(u32, f32)>,
    query: Query<'a>,
}

impl OpenQuery for OpenIals<'_> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        self.candidates_without(&[], limit, out);
    }

    fn candidates_without(&mut self, skipped: &[u32], limit: usize, out: &mut Vec<Scored>) {
        if !self.items.is_empty() {
            self.model.nearest(&self.vector, limit, skipped, out);
        }
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        let known = self.model.item_count();
        for (&item, out) in items.iter().zip(out) {
            *out = if (item as usize) < known { dot(self.model.item_vector(item), &self.vector) } else { 0.0 };
        }
    }

    fn score_all(&mut self, out: &mut [f32]) {
        for (item, product) in self.model.items.products(&self.vector) {
            if let Some(out) = out.get_mut(item as usize) {
                *out = product;
            }
        }
    }

    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        if item as usize >= self.model.item_count() {
            return Vec::new();
        }
        let shares = self.model.shares(&self.items, item);
        crate::strength::contributions(&self.query, self.items.iter().map(|(item, _)| *item).zip(shares), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    #[test]
    fn a_withheld_diagonal_is_found() {
        planted::finds_the_withheld(&IalsLearner { settings: settings() });
    }

    #[test]
    fn a_saved_model_scores_alike() {
        planted::survives_saving(&IalsLearner { settings: settings() });
    }

    #[test]
    fn threads_change_nothing() {
        planted::is_the_same_on_any_number_of_threads(&IalsLearner { settings: settings() });
    }

    #[test]
    fn explanations_add_up_to_the_score() {
        planted::explanations_add_up(&IalsLearner { settings: settings() });
    }

    #[test]
    fn solving_reaches_the_minimum() {
        // Many steps make the gradient of the objective vanish.
        let set = planted::blocks();
        let model = IalsLearner { settings: settings() }.fit(&set, 1).unwrap();
        let history = [(0u32, 1.0f32), (4, 0.5), (9, 1.0)];
        let x = model.fold_in(&history);
        let settings = model.settings();
        let ridge = settings.regularization
            * (2.5 + settings.unobserved_weight * set.item_count as f32).powf(settings.regularization_exponent);
        for at in 0..settings.dimensions {
            let observed: f32 = history
                .iter()
                .map(|&(item, c)| c * (dot(model.item_vector(item), &x) - 1.0) * model.item_vector(item)[at])
                .sum();
            let gram = settings.unobserved_weight * model.gram[at];
            assert!((observed + (gram + ridge) * x[at]).abs() < 1e-4);
        }
    }

    fn settings() -> IalsSettings {
        IalsSettings { dimensions: 8, regularization: 0.001, unobserved_weight: 0.05, ..IalsSettings::default() }
    }
}
