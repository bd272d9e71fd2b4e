use super::*;

#[test]
fn lines_are_put_together_from_pieces() {
    let (mut buffer, mut searched) = (BytesMut::new(), 0);
    let mut lines = Vec::new();
    for piece in ["{\"a\"", ":1}\n\n{", "}\n{\"rest"] {
        buffer.extend_from_slice(piece.as_bytes());
        while let Some(line) = take_line(&mut buffer, &mut searched) {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
    }
    assert_eq!(lines, ["{\"a\":1}", "", "{}"]);
    assert_eq!(&buffer[..], b"{\"rest");
}
