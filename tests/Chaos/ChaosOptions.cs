using System.Globalization;

namespace OrleansCache.Chaos;

/// <summary>Where the silos keep their membership.</summary>
internal enum Membership
{
    /// <summary>Themselves: three of them have a vote.</summary>
    Seeds,

    /// <summary>A PostgreSQL of the run's own.</summary>
    Postgres,
}

/// <summary>What one run is to do.</summary>
internal sealed record ChaosOptions
{
    public const string Help = """
        Usage: ./orleanscache chaos [--minutes N] [options]

        Starts silos as processes on 127.0.0.1, loads them with clients that check every reply, and injures the silos at random:
        kill -9, frozen for less and for longer than it takes to be declared dead, stopped and started again, a further one that
        joins and leaves. Prints a table at the end. Exit code 0 if nothing acknowledged was lost and nothing stale or foreign was
        read, 1 otherwise.

          --minutes N        how long (10); a fault that has begun is carried through
          --rounds N         ends after so many faults, whatever the time
          --silos N          silos to begin with, 2 to 7 (3)
          --replicas N       --replicas of the silos: 0, 1 or 2 (1); with 2 and --membership postgres, two are killed at once, too
          --seed N           the faults and the clients' choices of an earlier run
          --faults LIST      only these, with commas: kill, kill-oldest, kill-two, freeze, freeze-long, restart, rolling, join (these);
                             and of the links between silos (below): cut, cut-oldest, split, oneway, slow, or network for all five
          --keys N           items that are written once and must stay (200000)
          --writers N        keys that are written all the time, each by a client of its own (96)
          --rate N           operations a second of all writers together, about (4000)
          --membership M     seeds: the silos keep it themselves; postgres: a PostgreSQL of the run's own does (seeds)
          --memory MB        -m of each silo (256)
          --logs FOLDER      what the silos printed (a temporary folder, kept if something is wrong)

        With a fault of the links each silo runs in a network namespace of its own, which the run makes and removes; that needs root,
        `ip` and /dev/net/tun. Packets between silos pass through this process, which drops or delays them; clients reach every silo
        all the time.

          cut, cut-oldest    a silo, or the one that coordinates, hears no other and is heard by none, for 8 to 20 s
                             (these, split and oneway one time in four for 1 to 7 s)
          split              a minority of the silos is cut off from the others, for 8 to 20 s: (N-1)/2 of N silos, but no more than
                             replicas, and no majority of the seeds
          oneway             what a silo sends is lost, or what others send to it, for 8 to 20 s
          slow               50 to 200 ms more and 1% lost in each direction of a silo's link, for 8 to 20 s; 1 s more for 2 s of it

        Most clients turn away from a silo that is cut off, as from one that is dead; one in eight goes on to use it, and others read
        there all the time. It may give them what it had for 5 s (its lease), not longer, and acknowledge nothing that is lost.
        A silo that ends because it was declared dead is started again, as a service manager does.
        """;

    public double Minutes { get; private set; } = 10;

    public int Rounds { get; private set; } = int.MaxValue;

    public int Silos { get; private set; } = 3;

    public int Replicas { get; private set; } = 1;

    public int Seed { get; private set; } = Random.Shared.Next(1_000_000_000);

    public IReadOnlyList<FaultKind> Faults { get; private set; } = [.. Enum.GetValues<FaultKind>().Where(static kind => !kind.IsOfNetwork())];

    public int Keys { get; private set; } = 200_000;

    public int Writers { get; private set; } = 96;

    public int Rate { get; private set; } = 4000;

    public Membership Membership { get; private set; }

    public int MemoryMegabytes { get; private set; } = 256;

    public string? LogFolder { get; private set; }

    /// <summary>Whether silos run in a network of their own.</summary>
    public bool NeedsNetwork => Faults.Any(static kind => kind.IsOfNetwork());

    /// <summary>Null with the reason if the arguments are wrong.</summary>
    public static ChaosOptions? Parse(IReadOnlyList<string> arguments, out string? error)
    {
        var options = new ChaosOptions();
        error = null;
        for (int i = 0; i < arguments.Count; i++)
        {
            string[] parts = arguments[i].Split('=', 2);
            string? value = parts.Length == 2 ? parts[1] : i + 1 < arguments.Count ? arguments[++i] : null;
            error = value is null ? $"{parts[0]} needs a value" : options.Set(parts[0], value);
            if (error is not null)
                return null;
        }

        if (options.NeedsNetwork && options.Membership == Membership.Postgres)
            error = "network faults need --membership seeds: the PostgreSQL would be out of the silos' reach";
        return error is null ? options : null;
    }

    private string? Set(string name, string value)
    {
        switch (name)
        {
            case "--minutes":
                bool isTime = double.TryParse(value, CultureInfo.InvariantCulture, out double minutes) && minutes is > 0 and <= 100_000;
                Minutes = minutes;
                return isTime ? null : "--minutes must be a number above 0";
            case "--rounds":
                return SetNumber(name, value, 1, 1_000_000, number => Rounds = number);
            case "--silos":
                return SetNumber(name, value, 2, 7, number => Silos = number);
            case "--replicas":
                return SetNumber(name, value, 0, 2, number => Replicas = number);
            case "--seed":
                return SetNumber(name, value, 0, int.MaxValue, number => Seed = number);
            case "--keys":
                return SetNumber(name, value, 100, 10_000_000, number => Keys = number);
            case "--writers":
                return SetNumber(name, value, 1, 1000, number => Writers = number);
            case "--rate":
                return SetNumber(name, value, 1, 1_000_000, number => Rate = number);
            case "--memory":
                return SetNumber(name, value, 64, 65_536, number => MemoryMegabytes = number);
            case "--logs":
                LogFolder = Path.GetFullPath(value);
                return null;
            case "--membership":
                Membership = value == "postgres" ? Membership.Postgres : Membership.Seeds;
                return value is "postgres" or "seeds" ? null : "--membership must be seeds or postgres";
            case "--faults":
                return SetFaults(value);
            default:
                return $"unknown option {name}";
        }
    }

    private string? SetFaults(string value)
    {
        List<FaultKind> faults = [];
        foreach (string word in value.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            FaultKind[] found = [.. Enum.GetValues<FaultKind>().Where(kind => word == "network" ? kind.IsOfNetwork() : kind.Name() == word)];
            if (found.Length == 0)
                return $"unknown fault {word}; there are {string.Join(", ", Enum.GetValues<FaultKind>().Select(static kind => kind.Name()))}";
            faults.AddRange(found);
        }

        Faults = faults;
        return faults.Count == 0 ? "--faults must name one at least" : null;
    }

    private static string? SetNumber(string name, string value, int min, int max, Action<int> set)
    {
        if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number < min || number > max)
            return string.Create(CultureInfo.InvariantCulture, $"{name} must be a number from {min} to {max}");
        set(number);
        return null;
    }
}
