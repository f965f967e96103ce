using System.ComponentModel;
using System.Globalization;
using System.Net;
using OrleansCache.Conformance;

namespace OrleansCache.Chaos;

/// <summary>One silo's place in the network.</summary>
/// <param name="Port">Of the switch: the last byte of <paramref name="SiloAddress"/>.</param>
/// <param name="Namespace">The network namespace in which the silo runs.</param>
/// <param name="ClientAddress">Where this process and other clients reach the silo, whatever is cut.</param>
/// <param name="SiloAddress">Where other silos reach it, through the switch.</param>
internal sealed record NetworkPlace(int Port, string Namespace, IPAddress ClientAddress, IPAddress SiloAddress);

/// <summary>
/// A network on this machine whose links can be cut, made for one run and removed with it. Every silo has a network namespace of its own, with two
/// interfaces: a veth pair to this process's namespace, for clients and for asking how the silo is, which is never injured; and one to
/// <see cref="PacketSwitch"/>, by which silos reach each other. Nothing leaves the machine: there are no routes but these.
/// </summary>
/// <remarks>
/// Names carry the process's number: `ocPIDn3` (namespace), `ocPIDc3` and `ocPIDs3` (the veth pair), `ocPIDt3` (at the switch). So two runs do not meet, and
/// what a run left that was killed is found and removed by the next.
/// Addresses: clients' links 10.A.B.2n (here) and 10.A.B.2n+1 (silo n), silos 10.A+64.B.n; A (128 to 191) and B come from the process's number.
/// </remarks>
internal sealed class TestNetwork : IDisposable
{
    private const int PlacesMax = 120;
    private const int PacketBytes = 9000;
    private const string NamespaceFolder = "/run/netns";
    private const string InterfaceFolder = "/sys/class/net";

    private static readonly TimeSpan s_commandMax = TimeSpan.FromSeconds(30);

    private static readonly Lazy<string?> s_whyNot = new(FindWhyNot);

    private readonly List<NetworkPlace> _places = [];
    private readonly Lock _lock = new();
    private bool _isRemoved;

    private TestNetwork(int seed)
    {
        Switch = new PacketSwitch(seed);
        AppDomain.CurrentDomain.ProcessExit += OnExit;
    }

    public PacketSwitch Switch { get; }

    /// <summary>Null where such a network can be made, otherwise what is missing.</summary>
    public static string? WhyNot() => s_whyNot.Value;

    /// <summary>Removes what runs that are gone have left, and begins without silos.</summary>
    public static TestNetwork Create(int seed)
    {
        RemoveLeftovers();
        return new TestNetwork(seed);
    }

    /// <summary>Makes a namespace for one more silo and connects it.</summary>
    public NetworkPlace Add()
    {
        int number;
        lock (_lock)
        {
            number = _places.Count + 1;
            if (number > PlacesMax)
                throw new ChaosException($"more than {PlacesMax} silos");
            int low = Environment.ProcessId & 0xff, high = 128 + ((Environment.ProcessId >> 8) & 0x3f);
            _places.Add(new NetworkPlace(number, Name('n', number), Address(high, low, (2 * number) + 1), Address(high + 64, low, number)));
        }

        NetworkPlace place = _places[number - 1];
        string here = Name('c', number), there = Name('s', number), link = Name('t', number);
        Ip("netns", "add", place.Namespace);
        Ip("-n", place.Namespace, "link", "set", "lo", "up");
        Ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", place.Namespace);
        byte[] ours = place.ClientAddress.GetAddressBytes();
        ours[3]--;
        Ip("addr", "add", $"{new IPAddress(ours)}/31", "dev", here);
        Ip("link", "set", here, "up");
        Ip("-n", place.Namespace, "addr", "add", $"{place.ClientAddress}/31", "dev", there);
        Ip("-n", place.Namespace, "link", "set", there, "up");

        var device = new TunDevice(link);
        Switch.Connect(number, device);
        Ip("link", "set", link, "netns", place.Namespace);
        Ip("-n", place.Namespace, "addr", "add", $"{place.SiloAddress}/24", "dev", link);
        Ip("-n", place.Namespace, "link", "set", link, "mtu", PacketBytes.ToString(CultureInfo.InvariantCulture), "up");
        return place;
    }

    /// <summary>A rule for everything between these places and all others, in the directions asked for.</summary>
    public void SetRule(IReadOnlyCollection<NetworkPlace> places, LinkRule fromThem, LinkRule toThem)
    {
        foreach (NetworkPlace place in places)
        {
            foreach (NetworkPlace other in _places.Except(places))
            {
                Switch.SetRule(place.Port, other.Port, fromThem);
                Switch.SetRule(other.Port, place.Port, toThem);
            }
        }
    }

    public void Heal() => Switch.Heal();

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        Remove();
    }

    private static string? FindWhyNot()
    {
        if (!OperatingSystem.IsLinux())
            return "network faults need Linux";
        if (Environment.UserName != "root")
            return "network faults need root: they run silos in network namespaces";
        if (!File.Exists("/dev/net/tun"))
            return "network faults need /dev/net/tun";
        string name = Name('w', 0);
        try
        {
            Ip("netns", "add", name);
            Ip("netns", "del", name);
            using var device = new TunDevice(name);
            return null;
        }
        catch (Exception exception) when (exception is Win32Exception or ChaosException)
        {
            return $"network faults need `ip` and the right to make network namespaces: {exception.Message.ReplaceLineEndings(" ")}";
        }
    }

    private void OnExit(object? sender, EventArgs arguments) => Remove();

    private void Remove()
    {
        lock (_lock)
        {
            if (_isRemoved)
                return;
            _isRemoved = true;
            Switch.Dispose();
            foreach (NetworkPlace place in _places)
            {
                TryIp("link", "del", Name('c', place.Port));
                TryIp("netns", "del", place.Namespace);
            }
        }
    }

    /// <summary>What bears the number of a process that is no run any more. Silos that such a run has left in its namespaces are ended with them.</summary>
    private static void RemoveLeftovers()
    {
        foreach (string name in NamesIn(NamespaceFolder, 'n'))
        {
            foreach (string process in TryIp("netns", "pids", name).Split('\n', StringSplitOptions.RemoveEmptyEntries))
                TryRun("kill", "-9", process);
            TryIp("netns", "del", name);
        }

        foreach (string name in NamesIn(InterfaceFolder, 'c'))
            TryIp("link", "del", name);
    }

    private static List<string> NamesIn(string folder, char kind)
    {
        List<string> names = [];
        foreach (string path in Directory.Exists(folder) ? Directory.GetFileSystemEntries(folder) : [])
        {
            string name = Path.GetFileName(path);
            int at = name.IndexOf(kind, 2 <= name.Length ? 2 : name.Length);
            if (name.StartsWith("oc", StringComparison.Ordinal) && at > 0 && int.TryParse(name[2..at], CultureInfo.InvariantCulture, out int process)
                && int.TryParse(name[(at + 1)..], CultureInfo.InvariantCulture, out _) && !IsRun(process))
                names.Add(name);
        }

        return names;
    }

    private static bool IsRun(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/cmdline").Contains("OrleansCache", StringComparison.Ordinal);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static IPAddress Address(int second, int third, int fourth) => new([10, (byte)second, (byte)third, (byte)fourth]);

    private static string Name(char kind, int number) => string.Create(CultureInfo.InvariantCulture, $"oc{Environment.ProcessId}{kind}{number}");

    private static void Ip(params string[] arguments)
    {
        (int exitCode, string printed, _) = ChildProcess.RunAsync(["ip", .. arguments], s_commandMax).GetAwaiter().GetResult();
        if (exitCode != 0)
            throw new ChaosException($"ip {string.Join(' ', arguments)}: {printed}");
    }

    private static string TryIp(params string[] arguments) => TryRun(["ip", .. arguments]);

    private static string TryRun(params string[] command)
    {
        try
        {
            return ChildProcess.RunAsync(command, s_commandMax).GetAwaiter().GetResult().Printed;
        }
        catch (Exception exception) when (exception is Win32Exception or TimeoutException)
        {
            return "";
        }
    }
}
