//! Values on the wire. A parameter is sent with the type of its value, as SQLite takes it, instead of the one that the
//! server would infer.

use bytes::BytesMut;
use merx_store::Value;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

type BoxError = Box<dyn std::error::Error + Sync + Send>;

/// The type that a parameter is declared with.
pub(super) fn type_of(value: &Value) -> Type {
    match value {
        // The server takes it from the context, or text.
        Value::Null => Type::UNKNOWN,
        Value::Integer(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}

#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(integer) => integer.to_sql(kind, out),
            Value::Real(real) => real.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A column's value as the port has it. Sums of integers are NUMERIC to the server and whole numbers here.
pub(super) struct Cell(pub(super) Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let value = match *kind {
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::FLOAT4 => Value::Real(f32::from_sql(kind, raw)?.into()),
            Type::NUMERIC => numeric(raw).ok_or("a NUMERIC that is neither a 64-bit integer nor a fraction")?,
            Type::BYTEA => Value::Bytes(raw.to_vec()),
            _ => Value::Text(std::str::from_utf8(raw)?.to_owned()),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        let known = [
            Type::INT8,
            Type::INT4,
            Type::INT2,
            Type::BOOL,
            Type::FLOAT8,
            Type::FLOAT4,
            Type::NUMERIC,
            Type::BYTEA,
            Type::TEXT,
            Type::VARCHAR,
            Type::BPCHAR,
            Type::NAME,
            Type::UNKNOWN,
        ];
        known.contains(kind)
    }
}

/// The binary form (`numeric_send` in PostgreSQL's `numeric.c`): count of base-10000 digits, weight of the first, sign,
/// digits after the point, digits.
fn numeric(raw: &[u8]) -> Option<Value> {
    let word = |at: usize| Some(u16::from_be_bytes(raw.get(at * 2..at * 2 + 2)?.try_into().ok()?));
    let (count, weight, sign) = (usize::from(word(0)?), word(1)? as i16, word(2)?);
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        _ => return None,
    };
    let digits = (0..count).map(|at| word(4 + at)).collect::<Option<Vec<u16>>>()?;
    let whole_digits = usize::try_from(i32::from(weight) + 1).unwrap_or(0);
    if count <= whole_digits {
        let mut whole: i128 = 0;
        for at in 0..whole_digits {
            whole = whole.checked_mul(10_000)?.checked_add(digits.get(at).copied().unwrap_or(0).into())?;
        }
        return i64::try_from(if negative { -whole } else { whole }).ok().map(Value::Integer);
    }
    let place = |at: usize| 10_000_f64.powi(i32::from(weight) - at as i32);
    let sum: f64 = digits.iter().enumerate().map(|(at, digit)| f64::from(*digit) * place(at)).sum();
    Some(Value::Real(if negative { -sum } else { sum }))
}

/// The highest `$n` of a statement, where every number from 1 on is used; text in quotes and comments apart.
pub(super) fn parameter_count(sql: &str) -> Option<usize> {
    let bytes = sql.as_bytes();
    let mut used = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                at += 1 + bytes[at + 1..].iter().position(|byte| *byte == quote)?;
            }
            b'-' if bytes[at..].starts_with(b"--") => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            }
            b'$' => {
                let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let number: usize = sql[at + 1..at + 1 + digits].parse().ok()?;
                if number > used.len() {
                    used.resize(number, false);
                }
                *used.get_mut(number.checked_sub(1)?)? = true;
                at += digits;
            }
            _ => {}
        }
        at += 1;
    }
    used.iter().all(|used| *used).then_some(used.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted() {
        assert_eq!(parameter_count("SELECT 1"), Some(0));
        assert_eq!(parameter_count("SELECT $2, $1, $2, '$9 it''s $8', \"$7\" -- $6\n, $3"), Some(3));
        assert_eq!(parameter_count("SELECT $2"), None, "the first is not used");
        assert_eq!(parameter_count("SELECT $0"), None);
        assert_eq!(parameter_count("SELECT 'open"), None);
    }

    #[test]
    fn numerics_are_read() {
        let raw = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        assert_eq!(numeric(&raw(&[0, 0, 0, 0])), Some(Value::Integer(0)));
        assert_eq!(numeric(&raw(&[2, 1, 0x4000, 0, 12, 3456])), Some(Value::Integer(-123_456)));
        assert_eq!(numeric(&raw(&[1, 2, 0, 0, 5])), Some(Value::Integer(500_000_000)), "zeros at the end are left out");
        assert_eq!(numeric(&raw(&[2, 0, 0, 2, 1, 2500])), Some(Value::Real(1.25)));
        assert_eq!(numeric(&raw(&[1, 9, 0, 0, 5])), None, "more than 64 bits");
        assert_eq!(numeric(&raw(&[0, 0, 0xC000, 0])), None, "NaN");
        assert_eq!(numeric(&[0, 1]), None);
    }
}
