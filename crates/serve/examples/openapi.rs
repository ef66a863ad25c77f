//! Prints the OpenAPI document: `cargo run --release -p merx-serve --example openapi > openapi/merx.json`.

fn main() {
    print!("{}", merx_serve::openapi_json());
}
