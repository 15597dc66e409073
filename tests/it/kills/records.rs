//! Records and outputs that do not belong together, as a kill or a power cut between two steps can leave them, made by hand: the
//! next run does the right thing.

use std::fs;

use crate::support::kill::crash::*;

#[test]
fn a_record_whose_output_is_gone() {
    let project = done();
    fs::remove_dir_all(project.output("beside", "out")).unwrap();
    runs(&project, &["run"], &["beside"]);
}

#[test]
fn a_record_whose_output_is_cut_off() {
    let project = done();
    cut_in_half(&project.output("beside", "text"));
    runs(&project, &["run"], &["beside"]);
}

#[test]
fn a_record_whose_output_has_one_file_more() {
    let project = done();
    fs::write(project.output("beside", "out").join("more"), "").unwrap();
    runs(&project, &["run"], &["beside"]);
}

/// The state before the record is put: outputs are complete, and count for nothing.
#[test]
fn outputs_without_their_record() {
    let project = done();
    fs::remove_file(record_file(&project, "beside")).unwrap();
    fs::write(project.output_dir("beside").join("garbage"), "").unwrap();
    runs(&project, &["run"], &["beside"]);
}

#[test]
fn half_a_record() {
    let project = done();
    cut_in_half(&record_file(&project, "beside"));
    let ended = project.succeed(&["run"]);
    assert!(ended.output.contains("is damaged and is not used"), "{}", ended.output);
    assert_eq!(project.work(), ["beside"]);
    correct(&project);
}

/// What ext4 can leave of a file that was not synced: its length, and zeros.
#[test]
fn a_record_of_zeros() {
    let project = done();
    let path = record_file(&project, "beside");
    fs::write(&path, vec![0; fs::metadata(&path).unwrap().len() as usize]).unwrap();
    runs(&project, &["run"], &["beside"]);
}

#[test]
fn a_record_under_the_name_of_another() {
    let project = done();
    fs::copy(record_file(&project, "first"), record_file(&project, "beside")).unwrap();
    runs(&project, &["run"], &["beside"]);
}

#[test]
fn a_record_without_its_manifest() {
    let project = done();
    let hash = project.record("beside").unwrap()["outputs"]["text"]["hash"].as_str().unwrap().to_owned();
    fs::remove_file(project.state().join("manifests").join(hash)).unwrap();
    runs(&project, &["run"], &["beside"]);
}

/// The times are only there to save hashing.
#[test]
fn a_record_without_its_times() {
    let project = done();
    fs::remove_file(record_file(&project, "beside").with_extension("times")).unwrap();
    runs(&project, &["run"], &[]);
}

/// Between the record and the name that points to it.
#[test]
fn a_record_that_no_name_points_to() {
    let project = done();
    let fingerprint = fingerprint(&project, "beside");
    fs::remove_file(project.state().join("names/beside")).unwrap();
    runs(&project, &["run"], &[]);
    assert_eq!(self::fingerprint(&project, "beside"), fingerprint);
}

#[test]
fn a_name_that_points_to_no_record() {
    let project = done();
    for text in ["", "0123456789abcdef\n", "../../etc/passwd\n"] {
        fs::write(project.state().join("names/beside"), text).unwrap();
        runs(&project, &["run"], &[]);
    }
}
