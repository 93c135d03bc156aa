use crate::following::*;
#[test]
fn print_all() {
    for path in files("corpus", "ami").into_iter().filter(|p| p.to_str().unwrap().contains("xfer")) {
        println!("=== {}\n{}", path.display(), shown(&play(&corpus(&path))));
    }
}
