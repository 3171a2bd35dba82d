//! What the README shows is what is tried elsewhere.

const README: &str = include_str!("../../../../README.md");

/// The example `first` is compiled, and opened in a browser by the suite in `interop`.
#[test]
fn first_program_of_the_readme_is_the_example() {
    let program = include_str!("../../examples/first/main.rs");
    let (_, program) = program
        .split_once("\n\n")
        .expect("its documentation is first");
    let (before, main) = program
        .split_once("#[rustfmt::skip]")
        .expect("main is not formatted");
    let (_, main) = main.split_once('\n').expect("main follows");
    let program = format!("{before}{main}");
    // Only the example can listen elsewhere.
    let url = "\"http://localhost:3000\"";
    let choice = format!(
        "    let url = std::env::args().nth(1);\n    let url = url.as_deref().unwrap_or({url});\n"
    );
    let program =
        program
            .replacen(&choice, "", 1)
            .replacen("service(url", &format!("service({url}"), 1);
    let page = include_str!("../../examples/first/index.html");
    for (language, text) in [("rust", &*program), ("html", page)] {
        let block = format!("```{language}\n{text}```\n");
        assert!(README.contains(&block), "the README has not:\n{block}");
    }
}
