using System.Text;
using OrleansCache.Cli;

namespace OrleansCache.Silo.Options;

/// <summary>`orleanscache completion bash|zsh`: made from the option table and from the verbs, so that it never lacks one.</summary>
internal static class ShellCompletion
{
    private static readonly string[] s_verbs = ["serve", "gateway", "help", "version", "completion"];

    public static string? Of(string shell) => shell switch
    {
        "bash" => Bash(),
        "zsh" => Zsh(),
        _ => null,
    };

    private static IEnumerable<Option> ServeOptions => OptionTable.Shown.Where(option => option.State is OptionState.Works or OptionState.NoEffect);

    private static string Bash()
    {
        var text = new StringBuilder();
        string verbs = string.Join(' ', s_verbs.Concat(Verbs.All.Select(verb => verb.Name)));
        string serve = string.Join(' ', ServeOptions.SelectMany(
            option => option.Short == '\0' ? [$"--{option.Long}"] : new[] { $"-{option.Short}", $"--{option.Long}" }));
        text.Append($$"""
            # bash completion of orleanscache. Made by `orleanscache completion bash`.
            _orleanscache() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb=serve word
                for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                    case $word in -*) ;; *) verb=$word; break ;; esac
                done
                case $previous in
                    *-file | *-cert | *-key | *-ca | --settings | -s | -e | -P | -Y) COMPREPLY=($(compgen -f -- "$current")); return ;;
                esac
                local options
                case $verb in

            """);
        foreach (CliVerb verb in Verbs.All)
            text.Append($"        {verb.Name}) options=\"{string.Join(' ', verb.Options.Concat(CliVerb.Common).Select(option => "--" + option.Name))}\" ;;\n");
        text.Append($$"""
                    help) COMPREPLY=($(compgen -W "{{verbs}}" -- "$current")); return ;;
                    completion) COMPREPLY=($(compgen -W "bash zsh" -- "$current")); return ;;
                    *) options="{{serve}}" ;;
                esac
                if [[ $current == -* ]]; then
                    COMPREPLY=($(compgen -W "$options" -- "$current"))
                elif [[ $COMP_CWORD -eq 1 ]]; then
                    COMPREPLY=($(compgen -W "{{verbs}}" -- "$current"))
                fi
            }
            complete -o default -F _orleanscache orleanscache

            """);
        return text.ToString();
    }

    private static string Zsh()
    {
        var text = new StringBuilder("""
            #compdef orleanscache
            # zsh completion of orleanscache. Made by `orleanscache completion zsh`.
            _orleanscache() {
                local -a verbs
                verbs=(
                    'serve:serve memcached clients'
                    'gateway:serve the clients of a cluster, without holding items'
                    'help:explain'
                    'version:print the version'
                    'completion:print shell completion'

            """);
        foreach (CliVerb verb in Verbs.All)
            text.Append($"        '{verb.Name}:{Quoted(verb.Summary)}'\n");
        text.Append("""
                )
                if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
                    _describe verb verbs
                    return
                fi
                case $words[2] in

            """);
        foreach (CliVerb verb in Verbs.All)
        {
            text.Append($"        {verb.Name}) _arguments");
            foreach (VerbOption option in verb.Options.Concat(CliVerb.Common))
                text.Append(ZshOption("--" + option.Name, option.TakesValue ? "=" : "", option.Help, option.Argument));
            text.Append(" ;;\n");
        }

        text.Append("        help) (( CURRENT == 3 )) && _describe verb verbs ;;\n        completion) _values shell bash zsh ;;\n        *) _arguments");
        foreach (Option option in ServeOptions)
        {
            string help = option.Help.Split(". ")[0];
            string argument = option.TakesValue ? option.Argument : "";
            text.Append(ZshOption("--" + option.Long, option.TakesValue ? "=" : "", help, argument));
            if (option.Short != '\0')
                text.Append(ZshOption("-" + option.Short, option.TakesValue ? "+" : "", help, argument));
        }

        return text.Append(" ;;\n    esac\n}\n_orleanscache \"$@\"\n").ToString();
    }

    /// <summary>An argument of _arguments: '--name=[help]:value:action'.</summary>
    private static string ZshOption(string name, string join, string help, string argument)
    {
        string action = argument == "file" ? "_files" : "";
        string value = argument.Length == 0 ? "" : $":{argument.Replace(":", " ", StringComparison.Ordinal)}:{action}";
        return $" \\\n            '{name}{join}[{Quoted(help)}]{value}'";
    }

    /// <summary>Within single quotes of zsh, and within the brackets of _arguments.</summary>
    private static string Quoted(string text) => text.Replace("'", "'\\''", StringComparison.Ordinal).Replace("[", "\\[", StringComparison.Ordinal)
        .Replace("]", "\\]", StringComparison.Ordinal).Replace(":", "\\:", StringComparison.Ordinal);
}
