//! What a search would rather find: `optionalFilters`, `distinct`, and places near to one.

use merx_domain::search::{Around, Distinct, Preference};
use merx_domain::{Comparison, Filter, FilterValue};
use serde_json::Value;

use super::filters::{facet_filter, field_of};
use super::params::Params;

const MOST_PREFERENCES: usize = 100;
const MOST_BOXES: usize = 100;
/// The protocol's scores are whole numbers up to here.
const HIGHEST_SCORE: f32 = 65_535.0;
const DEFAULT_PRECISION_M: u32 = 10;

/// Each entry adds its score to the products that pass it; of a list of alternatives the highest counts, or all with
/// `sumOrFiltersScores`.
pub(super) fn optional_filters(params: &Params) -> Result<Vec<Preference>, String> {
    let list = params.list("optionalFilters");
    let summed = params.flag("sumOrFiltersScores") == Some(true);
    if list.len() > MOST_PREFERENCES {
        return Err(format!("optionalFilters: {} parts are more than {MOST_PREFERENCES}", list.len()));
    }
    let text = |part: &Value| part.as_str().ok_or("expected texts and lists of texts".to_owned()).and_then(scored);
    let read = |part: &Value| {
        let alternatives = match part {
            Value::Array(parts) if parts.len() <= MOST_PREFERENCES => {
                parts.iter().map(text).collect::<Result<_, _>>()?
            }
            other => vec![text(other)?],
        };
        Ok(Preference { alternatives, summed })
    };
    list.iter().map(read).collect::<Result<_, _>>().map_err(|error: String| format!("optionalFilters: {error}"))
}

/// `brand:Apple<score=3>`; without a score it is 1.
fn scored(text: &str) -> Result<(Filter, f32), String> {
    let marked = text.strip_suffix('>').and_then(|text| text.rsplit_once("<score="));
    let Some((text, score)) = marked else { return Ok((facet_filter(text)?, 1.0)) };
    let score = score.trim().parse::<f32>().ok().filter(|score| (0.0..=HIGHEST_SCORE).contains(score));
    Ok((facet_filter(text)?, score.ok_or_else(|| format!("{text:?}: expected a score from 0 to {HIGHEST_SCORE}"))?))
}

/// `distinct` says how many of those are shown that have the same value of `attributeForDistinct`.
pub(super) fn distinct(params: &Params) -> Option<Distinct> {
    let most = match params.flag("distinct") {
        Some(true) => 1,
        Some(false) => return None,
        None => u32::try_from(params.number("distinct")?).ok().filter(|most| *most > 0)?,
    };
    let attribute = params.text("attributeForDistinct").filter(|name| !name.trim().is_empty())?;
    Some(Distinct { field: field_of(attribute.trim()), most })
}

/// `aroundLatLng` with `aroundRadius` (metres or `all`) and `aroundPrecision`. A box of places goes before it.
pub(super) fn around(params: &Params) -> Result<Option<Around>, String> {
    let Some(text) = params.text("aroundLatLng").filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    if params.part("insideBoundingBox").is_some() {
        return Ok(None);
    }
    let wrong = || format!("aroundLatLng: {text:?}: expected a latitude and a longitude: 48.85,2.35");
    let (latitude, longitude) = text.split_once(',').ok_or_else(wrong)?;
    let number = |text: &str, most: f64| text.trim().parse::<f64>().ok().filter(|number| number.abs() <= most);
    let (latitude, longitude) = number(latitude, 90.0).zip(number(longitude, 180.0)).ok_or_else(wrong)?;
    let metres = |name: &str| params.number(name).map(|metres| u32::try_from(metres).unwrap_or(u32::MAX));
    Ok(Some(Around {
        latitude,
        longitude,
        radius_m: metres("aroundRadius"),
        precision_m: metres("aroundPrecision").unwrap_or(DEFAULT_PRECISION_M).max(1),
    }))
}

/// `insideBoundingBox`: rectangles by two opposite corners, one of which a place must be in.
pub(super) fn boxes(params: &Params) -> Result<Option<Filter>, String> {
    let corners = match params.part("insideBoundingBox") {
        Some(Value::String(text)) if !text.trim_start().starts_with('[') => {
            text.split(',').map(|number| Value::String(number.trim().to_owned())).collect()
        }
        _ => params.list("insideBoundingBox"),
    };
    if corners.is_empty() {
        return Ok(None);
    }
    // One rectangle may stand without a list around it.
    let rectangles = if corners.iter().all(Value::is_array) { corners } else { vec![Value::Array(corners)] };
    if rectangles.len() > MOST_BOXES {
        return Err(format!("insideBoundingBox: {} rectangles are more than {MOST_BOXES}", rectangles.len()));
    }
    Ok(Some(Filter::Any(rectangles.iter().map(rectangle).collect::<Result<_, _>>()?)))
}

fn rectangle(corners: &Value) -> Result<Filter, String> {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let numbers: Option<Vec<f64>> = corners.as_array().and_then(|list| list.iter().map(number).collect());
    let Some(&[lat1, lng1, lat2, lng2]) = numbers.as_deref() else {
        return Err("insideBoundingBox: expected four numbers a rectangle: two corners, latitude first".to_owned());
    };
    if [lat1, lng1, lat2, lng2].iter().any(|number| !number.is_finite()) {
        return Err("insideBoundingBox: expected numbers".to_owned());
    }
    let compare = |field: &str, comparison, number| Filter::Compare {
        field: field.to_owned(),
        comparison,
        value: FilterValue::Number(number),
    };
    let from = |field: &str, low: f64| compare(field, Comparison::GreaterOrEqual, low);
    let to = |field: &str, high: f64| compare(field, Comparison::LessOrEqual, high);
    let (latitude, longitude) = (Around::LATITUDE, Around::LONGITUDE);
    // The first corner is the north-west one: a rectangle whose west is east of its east lies across the date line.
    let across = lat1 >= lat2 && lng1 > lng2;
    let west_east = if across {
        Filter::Any(vec![from(longitude, lng1), to(longitude, lng2)])
    } else {
        Filter::All(vec![from(longitude, lng1.min(lng2)), to(longitude, lng1.max(lng2))])
    };
    Ok(Filter::All(vec![from(latitude, lat1.min(lat2)), to(latitude, lat1.max(lat2)), west_east]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(value: Value) -> Params {
        Params::of(&value).unwrap()
    }

    #[test]
    fn preferences_have_scores_and_alternatives() {
        let asked =
            params(json!({"optionalFilters": ["brand:Apple<score=3>", ["brand:-Huawei", "brand:\\-x<score=2>"]]}));
        let read = optional_filters(&asked).unwrap();
        let filter = |text: &str| Filter::parse(text).unwrap();
        assert_eq!(read[0].alternatives, [(filter("brand = \"Apple\""), 3.0)]);
        assert_eq!(read[1].alternatives, [(filter("NOT brand = \"Huawei\""), 1.0), (filter("brand = \"-x\""), 2.0)]);
        assert_eq!(read[1].of_one_score(), None);
        let bare = optional_filters(&params(json!({"optionalFilters": "brand:a"}))).unwrap();
        assert_eq!(bare[0].of_one_score(), Some((filter("brand = \"a\""), 1.0)));
        for wrong in [json!(["brand"]), json!(["brand:a<score=x>"]), json!([1]), json!([[["brand:a"]]])] {
            assert!(optional_filters(&params(json!({ "optionalFilters": wrong }))).is_err());
        }
    }

    #[test]
    fn of_equal_products_some_are_shown() {
        let read = |value: Value| distinct(&params(json!({"distinct": value, "attributeForDistinct": "model"})));
        let some = |most| Some(Distinct { field: "attributes.model".to_owned(), most });
        assert_eq!((read(json!(true)), read(json!("2")), read(json!(3))), (some(1), some(2), some(3)));
        assert_eq!((read(json!(false)), read(json!(0)), read(json!("x"))), (None, None, None));
        assert_eq!(distinct(&params(json!({"distinct": true}))), None, "by what?");
    }

    #[test]
    fn places_are_read_in_both_forms() {
        let near = around(&params(json!({"aroundLatLng": "48.85, 2.35", "aroundRadius": 500}))).unwrap().unwrap();
        assert_eq!((near.latitude, near.longitude, near.radius_m, near.precision_m), (48.85, 2.35, Some(500), 10));
        let all = around(&params(json!({"aroundLatLng": "0,0", "aroundRadius": "all", "aroundPrecision": 0}))).unwrap();
        assert_eq!(all.map(|all| (all.radius_m, all.precision_m)), Some((None, 1)));
        assert!(around(&params(json!({"aroundLatLng": "95,0"}))).is_err());
        assert!(around(&params(json!({"aroundLatLng": "here"}))).is_err());
        let list = boxes(&params(json!({"insideBoundingBox": [[49.0, 2.0, 48.0, 3.0]]}))).unwrap();
        let text = boxes(&params(json!({"insideBoundingBox": "49.0,2.0,48.0,3.0"}))).unwrap();
        let encoded = boxes(&params(json!({"insideBoundingBox": "[[49,2,48,3]]"}))).unwrap();
        assert!(list.is_some() && list == text && list == encoded);
        let inside = |filter: &Filter, lat: f64, lng: f64| {
            let value = |field: &str| if field == Around::LATITUDE { lat } else { lng };
            filter.matches(&|field| vec![FilterValue::Number(value(field))])
        };
        let list = list.unwrap();
        assert!(inside(&list, 48.5, 2.5) && !inside(&list, 48.5, 3.5) && !inside(&list, 47.5, 2.5));
        let fiji = boxes(&params(json!({"insideBoundingBox": [[-15.0, 176.0, -20.0, -178.0]]}))).unwrap().unwrap();
        assert!(inside(&fiji, -17.0, 179.0) && inside(&fiji, -17.0, -179.0) && !inside(&fiji, -17.0, 0.0));
        assert!(boxes(&params(json!({"insideBoundingBox": [[1, 2, 3]]}))).is_err());
    }
}
