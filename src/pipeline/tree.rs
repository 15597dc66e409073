//! What a pipeline file says, as a tree in which every value knows where it stands.
//!
//! Independent of the text it was read from, so that trees of several files can be merged and values put in. Unaware of
//! what keys mean.

use std::ops::Range;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub span: Range<usize>,
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// Something that no key takes; the word is what it is: `float`.
    Other(&'static str),
}

/// Keys with values, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub at: Range<usize>,
    pub node: Node,
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).node)
    }
}

impl Node {
    pub fn new(span: Range<usize>, value: Value) -> Node {
        Node { span, value }
    }
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }
    /// The elements; what is no array stands for one.
    pub fn one_or_more(&self) -> &[Node] {
        self.as_array().unwrap_or(std::slice::from_ref(self))
    }
    /// The value of a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_table()?.get(key)
    }
    /// Whether this or something in it stands at that place. A value that was merged from several files, or that comes from
    /// headers all over a file, does not enclose what is in it.
    pub fn holds(&self, span: &Range<usize>) -> bool {
        self.any(&|place| place == span)
    }
    /// Whether a place lies in the text of this, or of something in it.
    pub fn encloses(&self, place: &Range<usize>) -> bool {
        self.any(&|span| span.start <= place.start && place.end <= span.end)
    }
    fn any(&self, is: &dyn Fn(&Range<usize>) -> bool) -> bool {
        let within = match &self.value {
            Value::Array(items) => items.iter().any(|node| node.any(is)),
            Value::Table(table) => table.entries.iter().any(|entry| is(&entry.at) || entry.node.any(is)),
            _ => false,
        };
        within || is(&self.span)
    }
    /// Without its place. What no key takes is a word for it.
    pub fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::String(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Boolean(value) => (*value).into(),
            Value::Array(items) => toml::Value::Array(items.iter().map(Node::to_toml).collect()),
            Value::Table(table) => toml::Value::Table(
                table.entries.iter().map(|entry| (entry.key.clone(), entry.node.to_toml())).collect(),
            ),
            Value::Other(what) => (*what).into(),
        }
    }
    /// What it is, with an article.
    pub fn what(&self) -> &'static str {
        match &self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Boolean(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
            Value::Other(what) => what,
        }
    }
}

/// The tree of a parsed file, with its spans moved to where the file's offsets begin.
pub(super) fn table(parsed: DeTable<'_>, base: usize) -> Table {
    let entries = parsed.into_iter().map(|(key, value)| {
        let at = key.span().start + base..key.span().end + base;
        Entry { key: key.into_inner().into_owned(), at, node: node(value, base) }
    });
    Table { entries: entries.collect() }
}

fn node(parsed: Spanned<DeValue<'_>>, base: usize) -> Node {
    let span = parsed.span().start + base..parsed.span().end + base;
    let value = match parsed.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix())
                .map_or(Value::Other("an integer that does not fit into 64 bits"), Value::Integer)
        }
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Table(inner) => Value::Table(table(inner, base)),
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| node(item, base)).collect()),
    };
    Node { span, value }
}

/// Why a tree does not decode, and the innermost value that is to blame.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct DecodeError {
    pub message: String,
    pub span: Option<Range<usize>>,
}

impl de::Error for DecodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        DecodeError { message: message.to_string(), span: None }
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(table) => visitor.visit_map(Entries { rest: table.entries.iter(), value: None }),
            Value::Other(what) => Err(de::Error::custom(format!("{what} has no place in a pipeline"))),
        }
        .map_err(|error| error.in_node(self))
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Table(table) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries { rest: table.entries.iter(), value: None }))
            }
            _ => Err(de::Error::custom(format!("expected a string or a table, found {}", self.what()))),
        }
        .map_err(|error: DecodeError| error.in_node(self))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl DecodeError {
    fn in_node(mut self, node: &Node) -> DecodeError {
        self.span.get_or_insert_with(|| node.span.clone());
        self
    }
}

/// The elements of an array. What is wrong with one of them is its error, not the array's.
struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;
    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let item = self.0.next();
        item.map(|node| seed.deserialize(node).map_err(|error| error.in_node(node))).transpose()
    }
}

/// The entries of a table, likewise.
struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    value: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;
    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(&entry.node);
        seed.deserialize(entry.key.as_str().into_deserializer())
            .map(Some)
            .map_err(|error: DecodeError| DecodeError { span: error.span.or(Some(entry.at.clone())), ..error })
    }
    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(node) = self.value.take() else { return Err(de::Error::custom("a value was asked for twice")) };
        seed.deserialize(node).map_err(|error| error.in_node(node))
    }
}
