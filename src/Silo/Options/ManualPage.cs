using System.Globalization;
using System.Text;
using OrleansCache.Cli;

namespace OrleansCache.Silo.Options;

/// <summary>orleanscache(1), in roff, from the option table and the verbs. Not in the help: packages ask for it.</summary>
internal static class ManualPage
{
    public static string Make()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            .TH ORLEANSCACHE 1 "" "OrleansCache {Product.Version}" "User Commands"
            .SH NAME
            orleanscache \- a memcached that is a cluster
            .SH SYNOPSIS
            .B orleanscache
            [serve] [\fIoptions\fR]
            .br
            .B orleanscache gateway
            [\fIoptions\fR]
            .br
            .B orleanscache
            \fIverb\fR [\fIoperands\fR] [\fIoptions\fR]
            .SH DESCRIPTION
            Without a verb, or with
            .BR serve ,
            serves memcached clients: alone, or as a silo of a cluster that every client sees as one cache.
            .B gateway
            serves the clients of a cluster without holding items. The other verbs are for operators: they ask a running server.
            memcached's options mean what they mean in memcached
            {Product.MemcachedVersion}.
            .SH "VERBS FOR OPERATORS"

            """);
        foreach (CliVerb verb in Verbs.All)
        {
            text.Append($".SS {Escape($"{verb.Name} {verb.Operands}".TrimEnd())}\n{Escape(verb.Help.TrimEnd())}\n");
            foreach (VerbOption option in verb.Options)
                Item(text, "--" + option.Name, option.Argument, option.Help);
        }

        text.Append(".SS \"Options of all of these\"\n");
        foreach (VerbOption option in CliVerb.Common)
            Item(text, "--" + option.Name, option.Argument, option.Help);
        text.Append(".SH OPTIONS\n");
        foreach (OptionGroup group in Enum.GetValues<OptionGroup>())
        {
            text.Append($".SS \"{Escape(HelpText.Title(group))}\"\n");
            foreach (Option option in OptionTable.Shown.Where(option => option.Group == group && option.State is OptionState.Works or OptionState.NoEffect))
            {
                string name = option.Short == '\0' ? "--" + option.Long : $"-{option.Short}, --{option.Long}";
                Item(text, name, option.Argument, option.Help + (option.Default.Length == 0 ? "" : $" (default: {option.Default})"));
            }
        }

        return text.Append("""
            .SH ENVIRONMENT
            Every option can be set by a variable: ORLEANSCACHE_ and its long name in capitals with _ for \-, such as
            .BR ORLEANSCACHE_MEMORY_LIMIT=256 .
            .B ORLEANSCACHE_SERVER
            is the default of \-\-server.
            .SH SIGNALS
            SIGTERM and SIGINT hand partitions over and stop; a second one ends at once. SIGHUP reads certificates and passwords again.
            .SH "EXIT STATUS"
            0 stopped; 1 the password file cannot be used; 64 wrong option; 67 no such user; 69 cluster not reachable;
            70 internal error; 71 refused by the operating system;
            75 declared dead by the cluster: start it again; 130 a second signal.
            .SH "SEE ALSO"
            .BR memcached (1)

            """).ToString();
    }

    private static void Item(StringBuilder text, string name, string argument, string help)
    {
        string value = argument.Length == 0 ? "" : $" \\fI{Escape(argument)}\\fR";
        text.Append($".TP\n\\fB{Escape(name)}\\fR{value}\n{Escape(help)}\n");
    }

    /// <summary>Hyphens that are typed, backslashes, and lines that would begin as a request.</summary>
    private static string Escape(string text)
    {
        string escaped = text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);
        return string.Join('\n', escaped.Split('\n').Select(line => line is ['.' or '\'', ..] ? "\\&" + line : line));
    }
}
