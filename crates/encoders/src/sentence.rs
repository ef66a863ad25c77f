//! Sentence encoders of the BERT family from a folder as sentence-transformers lays it out: `config.json`, `tokenizer.json`,
//! `model.safetensors`, and `1_Pooling/config.json` where there is one.
//!
//! Devlin et al. 2018 (BERT); Reimers, Gurevych 2019 (Sentence-BERT): the mean of the last layer's token vectors, or the first
//! of them, scaled to length 1. Computed in f32 on the processor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use merx_models::{EncodeError, TextEncoder, TextRole, unit};
use tokenizers::{Tokenizer, TruncationParams};

/// Texts that are worth computing at once; more take memory and save nothing.
const BATCH: usize = 32;
/// A text has at least so many, those that begin and end it included.
const LEAST_TOKENS: usize = 8;
/// Of the digest, in the id.
const DIGEST_CHARS: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentenceSettings {
    /// Longer texts are cut.
    pub most_tokens: usize,
    /// Put before texts, for models that were trained with `query: ` and `passage: `.
    pub query_prefix: String,
    pub product_prefix: String,
}

impl Default for SentenceSettings {
    fn default() -> Self {
        Self { most_tokens: 128, query_prefix: String::new(), product_prefix: String::new() }
    }
}

/// Why a folder holds no encoder that can be used. All are the operator's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("{}: {problem}", folder.display())]
    Model { folder: PathBuf, problem: String },
}

/// Which of the last layer's vectors stand for the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    Mean,
    First,
}

pub struct SentenceEncoder {
    id: String,
    dimensions: usize,
    tokenizer: Tokenizer,
    model: BertModel,
    pooling: Pooling,
    settings: SentenceSettings,
}

impl std::fmt::Debug for SentenceEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentenceEncoder").field("id", &self.id).field("dimensions", &self.dimensions).finish()
    }
}

impl SentenceEncoder {
    pub fn open(folder: &Path, settings: SentenceSettings) -> Result<Self, OpenError> {
        let refused = |problem: String| OpenError::Model { folder: folder.to_owned(), problem };
        let config_text = read(&folder.join("config.json"))?;
        let config = config(&config_text).map_err(refused)?;
        let tokenizer_text = read(&folder.join("tokenizer.json"))?;
        let most_tokens = settings.most_tokens.clamp(LEAST_TOKENS, config.max_position_embeddings);
        let tokenizer = tokenizer(&tokenizer_text, most_tokens, config.vocab_size).map_err(refused)?;
        let pooling = pooling(&folder.join("1_Pooling").join("config.json"))?;
        let weights_path = folder.join("model.safetensors");
        let weights = read(&weights_path)?;
        let unreadable = |error: candle_core::Error| OpenError::File {
            path: weights_path.clone(),
            problem: format!("not the weights that config.json tells of: {error}"),
        };
        let builder = VarBuilder::from_slice_safetensors(&weights, DType::F32, &Device::Cpu).map_err(unreadable)?;
        let model = BertModel::load(builder, &config).map_err(unreadable)?;
        let digest = digest(&[&weights, &config_text, &tokenizer_text], &settings, pooling);
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (id, dimensions) = (format!("sentence:{name}:{digest}"), config.hidden_size);
        let encoder = Self { id, dimensions, tokenizer, model, pooling, settings };
        // What can't be computed is told at the start.
        encoder.encode(&["a"], TextRole::Query).map_err(|error| refused(error.to_string()))?;
        Ok(encoder)
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Numbers of tokens, those that begin and end a text included.
    fn tokens(&self, text: &str, role: TextRole) -> Result<Vec<u32>, EncodeError> {
        let prefix = match role {
            TextRole::Query => &self.settings.query_prefix,
            TextRole::Product => &self.settings.product_prefix,
        };
        let encoding = self.tokenizer.encode(format!("{prefix}{text}"), true);
        let encoding = encoding.map_err(|error| EncodeError::Refused(format!("the tokenizer: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The vectors of texts that have the same number of tokens.
    fn vectors(&self, texts: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let (count, length) = (texts.len(), texts.first().map_or(0, |tokens| tokens.len()));
        let tokens = Tensor::from_vec(texts.concat(), (count, length), &Device::Cpu)?;
        let states = self.model.forward(&tokens, &tokens.zeros_like()?, None)?;
        let pooled = match self.pooling {
            Pooling::Mean => states.mean(1)?,
            Pooling::First => states.narrow(1, 0, 1)?.squeeze(1)?,
        };
        pooled.to_vec2::<f32>()
    }
}

impl TextEncoder for SentenceEncoder {
    fn id(&self) -> &str {
        &self.id
    }

    fn encode(&self, texts: &[&str], role: TextRole) -> Result<Vec<Vec<f32>>, EncodeError> {
        let tokens = texts.iter().map(|text| self.tokens(text, role)).collect::<Result<Vec<_>, _>>()?;
        // Texts of one length go together: nothing is padded, and no vector depends on what else was asked for.
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        tokens.iter().enumerate().for_each(|(place, tokens)| by_length.entry(tokens.len()).or_default().push(place));
        let mut found = vec![Vec::new(); texts.len()];
        for places in by_length.values().flat_map(|places| places.chunks(BATCH)) {
            let of_length: Vec<&[u32]> = places.iter().map(|place| tokens[*place].as_slice()).collect();
            let vectors = self.vectors(&of_length);
            let vectors = vectors.map_err(|error| EncodeError::Refused(format!("the model: {error}")))?;
            for (place, vector) in places.iter().zip(vectors) {
                let no_direction = || EncodeError::Refused("the model answers with what is no vector".to_owned());
                found[*place] = unit(vector).ok_or_else(no_direction)?;
            }
        }
        Ok(found)
    }

    fn batch(&self) -> usize {
        2 * BATCH
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|error| OpenError::File { path: path.to_owned(), problem: error.to_string() })
}

fn config(text: &[u8]) -> Result<Config, String> {
    let config: Config = serde_json::from_slice(text).map_err(|error| format!("config.json: {error}"))?;
    match config.model_type.as_deref() {
        Some("bert") | None => {}
        Some(other) => return Err(format!("config.json: a model of type {other}; only bert can be run")),
    }
    let parts = [config.hidden_size, config.num_attention_heads, config.vocab_size, config.max_position_embeddings];
    let fits = !parts.contains(&0) && config.hidden_size.is_multiple_of(config.num_attention_heads);
    if !fits || config.max_position_embeddings < LEAST_TOKENS {
        return Err("config.json: sizes that fit no model".to_owned());
    }
    Ok(config)
}

fn tokenizer(text: &[u8], most_tokens: usize, vocabulary: usize) -> Result<Tokenizer, String> {
    let said = |error: tokenizers::Error| format!("tokenizer.json: {error}");
    let mut tokenizer = Tokenizer::from_bytes(text).map_err(said)?;
    let known = tokenizer.get_vocab(true).into_values().max().map_or(0, |last| last as usize + 1);
    if known > vocabulary {
        return Err(format!(
            "tokenizer.json knows {known} tokens and the model {vocabulary}: it belongs to another model"
        ));
    }
    tokenizer.with_padding(None);
    let truncation = TruncationParams { max_length: most_tokens, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(said)?;
    Ok(tokenizer)
}

/// The mean, where the folder doesn't say otherwise.
fn pooling(path: &Path) -> Result<Pooling, OpenError> {
    if !path.exists() {
        return Ok(Pooling::Mean);
    }
    let refused = |problem: String| OpenError::File { path: path.to_owned(), problem };
    let told: serde_json::Value = serde_json::from_slice(&read(path)?).map_err(|error| refused(error.to_string()))?;
    let asks_for = |mode: &str| told[mode] == true;
    match (asks_for("pooling_mode_mean_tokens"), asks_for("pooling_mode_cls_token")) {
        (true, false) => Ok(Pooling::Mean),
        (false, true) => Ok(Pooling::First),
        _ => Err(refused("neither the mean of the tokens nor the first of them".to_owned())),
    }
}

/// Of all that vectors depend on.
fn digest(files: &[&[u8]], settings: &SentenceSettings, pooling: Pooling) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(&(file.len() as u64).to_le_bytes()).update(file);
    }
    hasher.update(format!("{settings:?} {pooling:?}").as_bytes());
    hasher.finalize().to_hex()[..DIGEST_CHARS].to_owned()
}
