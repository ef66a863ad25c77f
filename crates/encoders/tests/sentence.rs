//! A tiny BERT with random weights, written by the test, beside the same computed plainly.

#![allow(clippy::unwrap_used, reason = "a test that can't write its files fails")]

use std::collections::BTreeMap;
use std::path::Path;

use merx_encoders::{SentenceEncoder, SentenceSettings};
use merx_models::{TextEncoder, TextRole};
use serde_json::{Value, json};

const HIDDEN: usize = 16;
const HEADS: usize = 2;
const INNER: usize = 24;
const POSITIONS: usize = 12;
const LAYERS: usize = 2;
const VOCABULARY: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "canvas", "bag", "lamp", "red", "##s", "for", "table", "##t"];

/// Rows by columns.
type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn weights() -> Weights {
    let mut state = 12_345u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let mut all = Weights::new();
    let mut put = |name: &str, shape: &[usize], shift: f32| {
        let values = (0..shape.iter().product::<usize>()).map(|_| shift + random()).collect();
        all.insert(name.to_owned(), (shape.to_vec(), values));
    };
    put("embeddings.word_embeddings.weight", &[VOCABULARY.len(), HIDDEN], 0.0);
    put("embeddings.position_embeddings.weight", &[POSITIONS, HIDDEN], 0.0);
    put("embeddings.token_type_embeddings.weight", &[2, HIDDEN], 0.0);
    put("embeddings.LayerNorm.weight", &[HIDDEN], 1.0);
    put("embeddings.LayerNorm.bias", &[HIDDEN], 0.0);
    for layer in 0..LAYERS {
        let mut dense = |name: &str, out: usize, inward: usize| {
            put(&format!("encoder.layer.{layer}.{name}.weight"), &[out, inward], 0.0);
            put(&format!("encoder.layer.{layer}.{name}.bias"), &[out], 0.0);
        };
        for part in ["query", "key", "value"] {
            dense(&format!("attention.self.{part}"), HIDDEN, HIDDEN);
        }
        dense("attention.output.dense", HIDDEN, HIDDEN);
        dense("intermediate.dense", INNER, HIDDEN);
        dense("output.dense", HIDDEN, INNER);
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            put(&format!("encoder.layer.{layer}.{part}.weight"), &[HIDDEN], 1.0);
            put(&format!("encoder.layer.{layer}.{part}.bias"), &[HIDDEN], 0.0);
        }
    }
    all
}

/// The format of huggingface's safetensors: the length of a JSON header, the header, the numbers.
fn safetensors(weights: &Weights) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, values)) in weights {
        let from = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn config() -> Value {
    json!({
        "model_type": "bert", "vocab_size": VOCABULARY.len(), "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": INNER, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    })
}

fn tokenizer(words: &[&str]) -> Value {
    let vocabulary: BTreeMap<&str, usize> = words.iter().enumerate().map(|(id, word)| (*word, id)).collect();
    let special = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let added = |id: usize| {
        json!({"id": id, "content": words[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    json!({
        "version": "1.0",
        // As sentence-transformers ships it: it must not reach what is computed.
        "truncation": {"max_length": 9, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [added(0), added(1), added(2), added(3)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
            "pair": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]"),
                {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

fn write(folder: &Path) {
    std::fs::write(folder.join("model.safetensors"), safetensors(&weights())).unwrap();
    std::fs::write(folder.join("config.json"), config().to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer(&VOCABULARY).to_string()).unwrap();
}

// ---- The same, plainly: one number after the other, in f64 ----

fn dense(weights: &Weights, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (weight, bias) = (&weights[&format!("{name}.weight")], &weights[&format!("{name}.bias")].1);
    let inward = weight.0[1];
    let out = |row: &Vec<f64>| {
        let of = |at: usize| {
            let products = row.iter().zip(&weight.1[at * inward..]).map(|(value, weight)| value * f64::from(*weight));
            products.sum::<f64>() + f64::from(bias[at])
        };
        (0..weight.0[0]).map(of).collect()
    };
    rows.iter().map(out).collect()
}

fn layer_norm(weights: &Weights, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (weight, bias) = (&weights[&format!("{name}.weight")].1, &weights[&format!("{name}.bias")].1);
    let norm = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let scaled = row.iter().map(|value| (value - mean) / (variance + 1e-12).sqrt());
        scaled.zip(weight.iter().zip(bias)).map(|(value, (w, b))| value * f64::from(*w) + f64::from(*b)).collect()
    };
    rows.iter().map(norm).collect()
}

/// By its Taylor series.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn add(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn attention(weights: &Weights, layer: &str, states: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let part = |name: &str| dense(weights, &format!("{layer}.attention.self.{name}"), states);
    let (queries, keys, values) = (part("query"), part("key"), part("value"));
    let size = HIDDEN / HEADS;
    let mut context = vec![vec![0.0; HIDDEN]; states.len()];
    for (head, at) in (0..HEADS).flat_map(|head| (0..states.len()).map(move |at| (head, at))) {
        let range = head * size..(head + 1) * size;
        let dot = |key: &Vec<f64>| range.clone().map(|i| queries[at][i] * key[i]).sum::<f64>() / (size as f64).sqrt();
        let weights: Vec<f64> = keys.iter().map(|key| dot(key).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (weight, value) in weights.iter().zip(&values) {
            range.clone().for_each(|i| context[at][i] += weight / total * value[i]);
        }
    }
    let out = dense(weights, &format!("{layer}.attention.output.dense"), &context);
    layer_norm(weights, &format!("{layer}.attention.output.LayerNorm"), &add(&out, states))
}

fn last_layer(weights: &Weights, tokens: &[usize]) -> Vec<Vec<f64>> {
    let row = |name: &str, at: usize| -> Vec<f64> {
        weights[name].1[at * HIDDEN..(at + 1) * HIDDEN].iter().map(|value| f64::from(*value)).collect()
    };
    let embedded = tokens.iter().enumerate().map(|(place, token)| {
        let parts = [
            row("embeddings.word_embeddings.weight", *token),
            row("embeddings.position_embeddings.weight", place),
            row("embeddings.token_type_embeddings.weight", 0),
        ];
        (0..HIDDEN).map(|i| parts.iter().map(|part| part[i]).sum()).collect()
    });
    let mut states = layer_norm(weights, "embeddings.LayerNorm", &embedded.collect::<Vec<Vec<f64>>>());
    for layer in (0..LAYERS).map(|layer| format!("encoder.layer.{layer}")) {
        let attended = attention(weights, &layer, &states);
        let mut inner = dense(weights, &format!("{layer}.intermediate.dense"), &attended);
        inner.iter_mut().flatten().for_each(|x| *x *= 0.5 * (1.0 + erf(*x / 2f64.sqrt())));
        let out = dense(weights, &format!("{layer}.output.dense"), &inner);
        states = layer_norm(weights, &format!("{layer}.output.LayerNorm"), &add(&out, &attended));
    }
    states
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.into_iter().map(|value| value / length).collect()
}

fn mean(states: &[Vec<f64>]) -> Vec<f64> {
    unit((0..HIDDEN).map(|i| states.iter().map(|state| state[i]).sum::<f64>() / states.len() as f64).collect())
}

fn assert_near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let furthest = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(furthest < 1e-4, "{furthest}: {found:?} beside {expected:?}");
}

fn open(folder: &Path) -> Result<SentenceEncoder, String> {
    SentenceEncoder::open(folder, SentenceSettings::default()).map_err(|error| error.to_string())
}

#[test]
fn vectors_are_those_of_a_plain_computation() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let encoder = open(folder.path()).unwrap();
    assert_eq!(encoder.dimensions(), HIDDEN);
    // Texts of different lengths, in an order that isn't that of their lengths, an unknown word, parts of words.
    let texts = ["Canvas BAGS", "lamp", "Tablet for bag", "zebra", "red  lamp"];
    let tokens: [&[usize]; 5] = [&[2, 4, 5, 8, 3], &[2, 6, 3], &[2, 10, 11, 9, 5, 3], &[2, 1, 3], &[2, 7, 6, 3]];
    let found = encoder.encode(&texts, TextRole::Product).unwrap();
    let weights = weights();
    for (vector, tokens) in found.iter().zip(tokens) {
        assert_near(vector, &mean(&last_layer(&weights, tokens)));
    }
    let alone = encoder.encode(&["lamp"], TextRole::Query).unwrap();
    assert_near(&alone[0], &found[1].iter().map(|value| f64::from(*value)).collect::<Vec<f64>>());
}

#[test]
fn long_texts_are_cut_and_prefixes_put_before() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let settings = SentenceSettings { most_tokens: 8, query_prefix: "red ".to_owned(), product_prefix: String::new() };
    let encoder = SentenceEncoder::open(folder.path(), settings).unwrap();
    let long = "lamp ".repeat(1_000);
    let weights = weights();
    let cut = encoder.encode(&[&long], TextRole::Product).unwrap();
    assert_near(&cut[0], &mean(&last_layer(&weights, &[2, 6, 6, 6, 6, 6, 6, 3])));
    let prefixed = encoder.encode(&["lamp"], TextRole::Query).unwrap();
    assert_near(&prefixed[0], &mean(&last_layer(&weights, &[2, 7, 6, 3])));
    assert_ne!(encoder.id(), open(folder.path()).unwrap().id(), "other settings are another space");
}

#[test]
fn pooling_is_what_the_folder_says() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let path = folder.path().join("1_Pooling");
    std::fs::create_dir(&path).unwrap();
    let pooling = |mean: bool, first: bool| {
        let told = json!({"pooling_mode_mean_tokens": mean, "pooling_mode_cls_token": first});
        std::fs::write(path.join("config.json"), told.to_string()).unwrap();
        open(folder.path())
    };
    let first = pooling(false, true).unwrap().encode(&["lamp"], TextRole::Query).unwrap();
    assert_near(&first[0], &unit(last_layer(&weights(), &[2, 6, 3]).remove(0)));
    assert!(pooling(true, false).is_ok());
    assert!(pooling(false, false).unwrap_err().contains("neither the mean"));
}

#[test]
fn what_is_no_model_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let told = |change: &dyn Fn(&Path)| {
        write(folder.path());
        change(folder.path());
        open(folder.path()).unwrap_err()
    };
    let put = |path: &Path, file: &str, text: &str| std::fs::write(path.join(file), text).unwrap();
    let changed = |key: &'static str, value: Value| {
        move |path: &Path| {
            let mut config = config();
            config[key] = value.clone();
            std::fs::write(path.join("config.json"), config.to_string()).unwrap();
        }
    };
    assert!(open(&folder.path().join("nowhere")).unwrap_err().contains("config.json"));
    assert!(told(&|path| std::fs::remove_file(path.join("model.safetensors")).unwrap()).contains("model.safetensors"));
    assert!(told(&|path| put(path, "model.safetensors", "not found")).contains("not the weights"));
    assert!(told(&|path| put(path, "tokenizer.json", "{}")).contains("tokenizer.json"));
    assert!(told(&changed("hidden_size", json!(24))).contains("not the weights"), "wrong dimensions");
    assert!(told(&changed("hidden_size", json!(15))).contains("sizes that fit no model"));
    assert!(told(&changed("model_type", json!("t5"))).contains("only bert can be run"));
    let more: Vec<&str> = VOCABULARY.into_iter().chain(["sofa"]).collect();
    assert!(
        told(&|path| put(path, "tokenizer.json", &tokenizer(&more).to_string())).contains("belongs to another model")
    );
}
