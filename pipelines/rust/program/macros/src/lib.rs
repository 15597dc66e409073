//! A derive that counts fields: the compiler loads this library while it compiles the program.

use proc_macro::{TokenStream, TokenTree};

/// Implements `Fields` for a struct with named fields of plain types.
#[proc_macro_derive(Fields)]
pub fn fields(item: TokenStream) -> TokenStream {
    let mut words = item.into_iter();
    let name = loop {
        match words.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "struct" => break words.next().unwrap().to_string(),
            Some(_) => {}
            None => return "compile_error!(\"not a struct\");".parse().unwrap(),
        }
    };
    let Some(TokenTree::Group(body)) = words.next() else { return TokenStream::new() };
    let colons = body.stream().into_iter().filter(|word| matches!(word, TokenTree::Punct(mark) if mark.as_char() == ':'));
    let count = colons.count();
    format!("impl Fields for {name} {{ const COUNT: usize = {count}; }}").parse().unwrap()
}
