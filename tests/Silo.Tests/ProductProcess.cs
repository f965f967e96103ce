using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Silo.Tests;

/// <summary>The built executable as a process of its own.</summary>
internal sealed class ProductProcess : IDisposable
{
    /// <summary>Far beyond what anything here takes: reached only when something hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly StringBuilder _error = new();
    private readonly StringBuilder _output = new();
    private readonly TaskCompletionSource<string> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Stopwatch _watch = Stopwatch.StartNew();

    private ProductProcess(string line, (string Name, string Value)[] environment, string inShell = "")
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };
        if (inShell.Length > 0)
        {
            start.FileName = "/bin/sh";
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add($"{inShell} && exec dotnet \"$@\"");
            start.ArgumentList.Add("sh");
        }

        start.ArgumentList.Add(Dll);
        foreach (string argument in Lines.Split(line))
            start.ArgumentList.Add(argument);
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("ORLEANSCACHE_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.ErrorDataReceived += (_, data) => OnError(data.Data);
        _process.OutputDataReceived += (_, data) =>
        {
            lock (_output)
            {
                _output.Append(data.Data is null ? "" : data.Data + "\n");
            }
        };
        _process.Start();
        _process.BeginErrorReadLine();
        _process.BeginOutputReadLine();
    }

    /// <summary>Beside the tests: they reference the program's project, so it is built first and in the same form.</summary>
    public static string Dll { get; } = Path.Combine(AppContext.BaseDirectory, "OrleansCache.dll");

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public TimeSpan ReadyAfter { get; private set; }

    public string Error
    {
        get
        {
            lock (_error)
            {
                return _error.ToString();
            }
        }
    }

    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    /// <summary>Runs the program to its end.</summary>
    public static (int ExitCode, string Output, string Error) Run(string line, params (string Name, string Value)[] environment)
    {
        using var product = new ProductProcess(line, environment);
        int code = product.WaitForExit();
        return (code, product.Output, product.Error);
    }

    /// <summary>Starts a server and waits until it says where it listens.</summary>
    public static Task<ProductProcess> StartAsync(string line, params (string Name, string Value)[] environment) =>
        WaitForStartAsync(new ProductProcess(line, environment));

    /// <summary>The same under a limit of open files.</summary>
    public static Task<ProductProcess> StartAsync(string line, int openFilesMax) =>
        WaitForStartAsync(new ProductProcess(line, [], string.Create(CultureInfo.InvariantCulture, $"ulimit -n {openFilesMax}")));

    /// <summary>As nohup starts it, in the background of a script.</summary>
    public static Task<ProductProcess> StartIgnoringSignalsAsync(string line) => WaitForStartAsync(new ProductProcess(line, [], "trap '' HUP INT"));

    private static async Task<ProductProcess> WaitForStartAsync(ProductProcess product)
    {
        Task ended = product._process.WaitForExitAsync();
        if (await Task.WhenAny(product._listening.Task, ended).WaitAsync(Patience) == ended && !product._listening.Task.IsCompleted)
        {
            product._process.WaitForExit();
            string message = $"ended with {product._process.ExitCode}: {product.Error}";
            product.Dispose();
            throw new InvalidOperationException(message);
        }

        product.ReadyAfter = product._watch.Elapsed;
        return product;
    }

    /// <summary>The first TCP address of the start-up line.</summary>
    public async Task<IPEndPoint> EndPointAsync()
    {
        string line = await _listening.Task;
        string address = line.Split("listening on ")[1].Split([';', ','])[0];
        return IPEndPoint.Parse(address);
    }

    public async Task<string> AskAsync(string command)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(await EndPointAsync());
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(command + "\r\n"));
        using var reader = new StreamReader(client.GetStream(), Encoding.ASCII);
        return await reader.ReadLineAsync().WaitAsync(Patience) ?? "";
    }

    public void Signal(string name)
    {
        using Process kill = Process.Start("/bin/kill", [$"-{name}", _process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    public int WaitForExit()
    {
        if (!_process.WaitForExit(Patience))
            throw new TimeoutException($"did not end within {Patience}: {Error}");
        _process.WaitForExit();
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private void OnError(string? line)
    {
        if (line is null)
            return;
        lock (_error)
        {
            _error.Append(line).Append('\n');
        }

        if (line.Contains("listening on ", StringComparison.Ordinal))
            _listening.TrySetResult(line);
    }
}
