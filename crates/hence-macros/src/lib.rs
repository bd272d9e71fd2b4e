//! The derives and attributes of Hence.
use proc_macro::TokenStream;
/// x
#[proc_macro_derive(Event, attributes(event))]
pub fn a(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
/// x
#[proc_macro_derive(Events)]
pub fn b(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
/// x
#[proc_macro_attribute]
pub fn handler(_: TokenStream, i: TokenStream) -> TokenStream {
    i
}
