//! Runs come to an end, and are continued as they were.

use crate::support::{Test, stage};

#[test]
fn the_largest_number_of_retries_is_a_number() {
    let test =
        Test::new([stage("a", "retries = 4294967295", "test -e ${self.build}/second || { touch second; false; }")]);
    let _ = test.run("").ok().ran("a a");
    let pool = "[[stage]]\nname = 'a'\nkind = 'verify'\nretries = 4294967295\ntests = [{ name = 't', run = 'true' }]\n";
    let _ = Test::new([pool]).run("").ok();
}

#[test]
fn what_resume_was_told_holds_for_the_next_resume() {
    let test = Test::new([
        "[vars]\nv = 'a'\nw = { type = 'string', default = '', secret = true }\n".to_owned(),
        stage("s", "", "mark ${v}; test -e ${pipeline.dir}/go"),
    ]);
    let _ = test.run("").code(1).ran("s a");
    let _ = test.cmd("resume --set v=b --set w=hidden").code(1).ran("s b");
    test.write("go", "");
    let _ = test.cmd("resume").ok().ran("s b");
    test.sh("! grep -r hidden .optbuild");
}
