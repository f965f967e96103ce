namespace OrleansCache.Silo.Options;

/// <content>memcached's options of authentication and TLS.</content>
internal static partial class OptionTable
{
    private static IEnumerable<Option> Security() =>
    [
        new()
        {
            Short = 'Y', Long = "auth-file", Argument = "file", Group = OptionGroup.Commands, IsMemcached = true,
            Help = "text connections must log in with a user and password of this file (lines of user:password), by a set whose value is \"user password\"; "
                + "a change of the file counts at once (docs/security.md)",
            Apply = (o, text) => text.Length == 0 ? "No path given for the authentication file" : Done(() => o.AuthFile = text),
        },
        new()
        {
            Short = 'S', Long = "enable-sasl", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsMemcached = true,
            Help = "binary connections must log in by SASL PLAIN; the passwords stand in the file that MEMCACHED_SASL_PWDB names, or else in that of "
                + "-Y (docs/security.md)",
            Apply = (o, _) => Done(() => o.SaslEnabled = true),
        },
        new()
        {
            Short = 'Z', Long = "enable-ssl", Kind = OptionKind.Flag, Group = OptionGroup.Listening, IsMemcached = true,
            Help = "TLS on every TCP listener that -l does not except (notls:); needs -o ssl_chain_cert (docs/security.md)",
            Apply = (o, _) => Done(() => o.TlsEnabled = true),
        },
    ];
}
