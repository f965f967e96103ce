using System.Globalization;
using System.Text;
using OrleansCache.Cli;

namespace OrleansCache.Silo.Options;

/// <summary>The option table as a person reads it in a terminal, and as docs/options.md.</summary>
internal static class HelpText
{
    private const int Columns = 100;
    private const int Indent = 32;

    public static string Title(OptionGroup group) => group switch
    {
        OptionGroup.Listening => "Where to listen",
        OptionGroup.Memory => "Memory",
        OptionGroup.Connections => "Connections and threads",
        OptionGroup.Commands => "Protocol and commands",
        OptionGroup.Process => "Process",
        OptionGroup.Monitoring => "Monitoring",
        OptionGroup.Cluster => "Cluster (any of these makes the node a silo)",
        _ => throw new ArgumentOutOfRangeException(nameof(group)),
    };

    public static string Help()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            {Product.Title}
            OrleansCache: a memcached that is a cluster.

            Usage: orleanscache [serve] [options]         serve memcached clients (the default)
                   orleanscache gateway [options]         serve the clients of a cluster, without holding items
                   orleanscache help | version            this page; the version
                   orleanscache completion bash|zsh       completion for the shell
                   orleanscache test [--soak SECONDS]     run the tests     (launcher)
                   orleanscache chaos [--minutes N]       injure silos under load  (launcher)
                   orleanscache build | package           build again | make packages (launcher)

            For operators of a running server or cluster (`orleanscache help VERB` tells more):
              status                    the cluster on one screen; exit code 0, 1, 2 for scripts and Nagios
              top                       what happens now, live
              silos                     a line for each silo
              moves [pause | resume ..] partitions that move, and have moved; pause, limit, abort
              drain SILO                hand a silo's partitions to the others, before it is stopped
              seeds list|add|remove     the silos that keep the membership
              keys | get | set | delete a quick look at items
              bench                     a small load generator with percentiles
              check [-- OPTIONS]        look for what goes wrong later: options, limits, clock, network

            memcached's options mean what they mean in memcached 1.6.

            """);
        foreach (OptionGroup group in Enum.GetValues<OptionGroup>())
        {
            text.Append('\n').Append(Title(group)).Append(":\n");
            foreach (Option option in OptionTable.Shown.Where(option => option.Group == group && option.State is OptionState.Works or OptionState.NoEffect))
                Row(text, Left(option), Right(option));
        }

        text.Append("\nExtended options, for -o name,name=value:\n");
        foreach (ExtendedOption option in ExtendedOptions.All.Where(option => option.State == OptionState.Works))
            Row(text, "  " + option.Name + (option.Missing is null ? "" : $"=<{option.Argument}>"), option.Help);

        // Test suites of clients take a mention of external storage for the thing itself.
        Row(text, "  accepted without effect", Names(OptionState.NoEffect, except: "ext_"));
        text.Append("""

            Every option can also be set by an environment variable: ORLEANSCACHE_ and its long name in capitals
            with _ for - (ORLEANSCACHE_MEMORY_LIMIT=256, ORLEANSCACHE_DISABLE_CAS=true), or in the JSON file of
            --settings, under its long name. The command line counts before the environment, the environment
            before the file.

            SIGINT and SIGTERM stop cleanly; a second one ends at once. SIGUSR1 stops gracefully, too. SIGHUP
            reads certificates and passwords again. Exit codes: 0 stopped, 1 the password file cannot be used,
            64 wrong option, 67 no such user, 69 cluster not reachable, 70 internal error, 71 refused by the
            operating system (such as a port in use), 75 declared dead by the cluster: start it again.

            """);
        return text.ToString();
    }

    /// <summary>docs/options.md. A test keeps the page equal to this.</summary>
    public static string Page()
    {
        var text = new StringBuilder();
        text.Append("""
            # Options

            <!-- Made from the option table in src/Silo/Options by `dotnet run --project src/Silo -- options-page`; a test compares. Do not edit by hand. -->

            `./orleanscache [serve] [options]` serves memcached clients, alone or as a silo of a cluster; `./orleanscache gateway [options]` serves the clients
            of a cluster without holding items.

            memcached's options (those with a letter) mean what they mean in memcached 1.6 and follow its rules: flags combine (`-vd`), values may be glued on
            (`-m64`), long names take `--port=11211` or `--port 11211` and may be cut short. Differences are deliberate and few: without `-l` OrleansCache
            listens on 127.0.0.1 only; root may serve without `-u`; a value that is not a number is an error where memcached takes it for 0; `-m` takes `2g`;
            `-I` below 512k needs no `slab_chunk_max`; a wrong option ends with exit code 64, where memcached uses 64 or 1
            (a password file that cannot be used: 1, in both).

            Each option can also be set

            - by an environment variable: `ORLEANSCACHE_` and the long name in capitals with `_` for `-`, such as `ORLEANSCACHE_MEMORY_LIMIT=256`. Flags take
              true or false, `ORLEANSCACHE_VERBOSE` a number. An empty variable counts as not set;
            - in a JSON file that `--settings` or `ORLEANSCACHE_SETTINGS` names, under its long name. Comments are allowed, unknown names are errors:

            ```json
            {
              "port": 11212,
              "listen": ["127.0.0.1", "[::1]"],
              "memory-limit": 256,
              "disable-flush-all": true,
              "extended": { "idle_timeout": 300 }
            }
            ```

            The command line counts before the environment, the environment before the file. `false` in the environment switches off a flag of the file. Only
            `-o` adds up over the three, name by name.


            """);
        foreach (OptionGroup group in Enum.GetValues<OptionGroup>())
        {
            text.Append("## ").Append(Title(group)).Append("\n\n|option|environment variable|default|meaning|\n|-|-|-|-|\n");
            foreach (Option option in OptionTable.Shown.Where(option => option.Group == group))
            {
                string argument = option.Argument.Length == 0 ? "" : $"=<{option.Argument}>";
                string letter = option.Short == '\0' ? "" : $"`-{option.Short}`, ";
                string state = option.State switch
                {
                    OptionState.NoEffect => "Accepted, no effect: ",
                    OptionState.NotYet => "**Not supported yet** (exit code 64): ",
                    OptionState.Refused => "**Refused** (exit code 64): ",
                    _ => "",
                };
                string variable = option.Long is "help" or "version" or "license" ? "" : $"`{option.Variable}`";
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"|{letter}`--{option.Long}{argument}`|{variable}|{Cell(option.Default)}|{state}{Cell(option.Help)}|\n");
            }

            text.Append('\n');
        }

        text.Append("""
            ## Extended options (`-o name,name=value`)

            |name|state|meaning or reason|
            |-|-|-|

            """);
        foreach (ExtendedOption option in ExtendedOptions.All)
        {
            string state = option.State switch
            {
                OptionState.Works => "works",
                OptionState.NoEffect => "accepted, no effect",
                OptionState.Refused => "refused",
                _ => "not supported yet",
            };
            text.Append(CultureInfo.InvariantCulture, $"|`{option.Name}`|{state}|{Cell(option.Help)}|\n");
        }

        text.Append("""

            ## Exit codes

            |code|meaning|
            |-|-|
            |0|stopped by SIGINT, SIGTERM, SIGUSR1 or the command `shutdown`, or help and version were asked for|
            |1|the password file of `-Y` or `MEMCACHED_SASL_PWDB` cannot be used|
            |64|a wrong option, variable or setting, or one that is not supported|
            |67|the user of `-u` does not exist|
            |69|the cluster or its membership store cannot be reached, or did not take the node in within `--join-timeout`; a silo port in use|
            |70|internal error (one line; with `-vv` the stack trace)|
            |71|refused by the operating system: a port in use, an address that is not this machine's, a limit|
            |75|the cluster has declared this silo dead, because it was frozen or cut off; started again, it joins anew|
            |130|a second signal ended a stop that was still running|

            """);
        return text.ToString();
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);

    private static string Names(OptionState state, string except) =>
        string.Join(" ", ExtendedOptions.All.Where(option => option.State == state && !option.Name.StartsWith(except, StringComparison.Ordinal))
            .Select(option => option.Name));

    private static string Left(Option option)
    {
        string letter = option.Short == '\0' ? "    " : $"-{option.Short}, ";
        string argument = option.Argument.Length == 0 ? "" : $"=<{option.Argument}>";
        return $"  {letter}--{option.Long}{argument}";
    }

    private static string Right(Option option) => option.Help + (option.Default.Length == 0 ? "" : $" (default: {option.Default})");

    private static void Row(StringBuilder text, string left, string right) => HelpRow.Append(text, left, right, Indent, Columns);
}
