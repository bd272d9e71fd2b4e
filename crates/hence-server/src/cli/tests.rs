use super::*;

#[test]
fn the_definition_holds_together() {
    definition().debug_assert();
}

#[test]
fn a_secret_has_no_flag() {
    fn walk(command: &clap::Command) {
        for arg in command.get_arguments() {
            let name = arg.get_long().unwrap_or_default();
            let is_secret = ["secret", "password", "apikey", "api-key"]
                .iter()
                .any(|word| name.contains(word));
            let takes_token = name == "token" && arg.get_action().takes_values();
            assert!(
                !is_secret && !takes_token,
                "{} --{name}",
                command.get_name()
            );
        }
        command.get_subcommands().for_each(walk);
    }
    walk(&definition());
}
