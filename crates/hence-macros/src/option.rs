//! `name = value` lists, as both attributes take them, with errors that name the cure.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitStr, Result, Token, token};

/// The longest word that is compared with the known ones, so that a typo costs no time.
const WORD_LENGTH_MAX: usize = 32;
/// Words that have so many first letters in common are alike.
const BEGINNING_LENGTH: usize = 4;

/// Reads `name = value, …` and `name(…)`; `value` reads the value of each name, and says no to unknown ones.
pub(crate) fn parse_each(
    input: ParseStream<'_>,
    mut value: impl FnMut(&Ident, ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen: Vec<Ident> = Vec::new();
    while !input.is_empty() {
        // `type` is a keyword, and a good name all the same.
        let name = input.call(Ident::parse_any)?;
        if seen.contains(&name) {
            return Err(Error::new(name.span(), format!("`{name}` is given twice")));
        }
        if input.is_empty() || input.peek(Token![,]) {
            return Err(Error::new(
                name.span(),
                format!("give `{name}` a value: `{name} = …`"),
            ));
        }
        // An option that has parts has them in parentheses.
        if !input.peek(token::Paren) {
            input.parse::<Token![=]>()?;
        }
        value(&name, input)?;
        seen.push(name);
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

/// The error for an option that nobody knows.
pub(crate) fn unknown(name: &Ident, known: &[&str]) -> Error {
    let text = name.to_string();
    let hint = closest(&text, known).map_or_else(
        || format!("the options are {}", quoted(known)),
        |near| format!("did you mean `{near}`?"),
    );
    Error::new(name.span(), format!("there is no option `{name}`; {hint}"))
}

/// One of a few words, written as a string.
pub(crate) fn one_of<T: Copy>(input: ParseStream<'_>, words: &[(&str, T)]) -> Result<T> {
    let literal = string(input, "a word in quotes")?;
    let text = literal.value();
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*found);
    }
    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let hint = closest(&text, &known).map_or_else(
        || format!("it is one of {}", quoted(&known)),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Error::new(
        literal.span(),
        format!("`{text}` is not known here; {hint}"),
    ))
}

/// A string literal; `what` says what it stands for.
pub(crate) fn string(input: ParseStream<'_>, what: &str) -> Result<LitStr> {
    parse_as(input, &format!("write {what}, such as `\"…\"`"))
}

/// A value of one kind, or what to write in place of it.
pub(crate) fn parse_as<T: Parse>(input: ParseStream<'_>, cure: &str) -> Result<T> {
    let span = input.span();
    input.parse().map_err(|_| Error::new(span, cure))
}

/// All errors as one, so that each is reported.
pub(crate) fn all(errors: Vec<Error>) -> Result<()> {
    errors
        .into_iter()
        .reduce(|mut all, next| {
            all.combine(next);
            all
        })
        .map_or(Ok(()), Err)
}

/// An error at a place.
pub(crate) fn error<T>(span: Span, text: impl std::fmt::Display) -> Result<T> {
    Err(Error::new(span, text))
}

/// Words in back-quotes, with commas between.
pub(crate) fn quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// The known word that was probably meant: at most a third of its letters differ, or both begin
/// alike.
pub(crate) fn closest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    if text.len() > WORD_LENGTH_MAX {
        return None;
    }
    known
        .iter()
        .map(|word| (distance(text, word), *word))
        .filter(|(distance, word)| *distance <= word.len().div_ceil(3) || alike(text, word))
        .min()
        .map(|(_, word)| word)
}

fn alike(a: &str, b: &str) -> bool {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.count() >= BEGINNING_LENGTH
}

/// The edit distance (Wagner and Fischer, 1974), one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let change = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = change.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
